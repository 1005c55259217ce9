//! Addresses that a plugin must not reach merely because a name leads there.
//!
//! A name that a rule allows can be made to resolve to anything: to the host
//! itself, to its neighbours, to the service that hands out the machine's
//! credentials. So only addresses of the open internet are reached by name;
//! all others need a network that was granted in so many words.
//!
//! Sources: the IANA registries of special-purpose addresses for IPv4 and IPv6
//! (RFC 6890 and its updates), and what cloud providers document as the
//! addresses of their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use ipnet::IpNet;

/// The address that is meant, where one is written within another: an IPv4
/// address that is mapped into IPv6 (RFC 4291, section 2.5.5).
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The IPv4 address that packets to this IPv6 address end up at, if a
/// translator or a tunnel stands in between: IPv4-compatible (RFC 4291),
/// NAT64 (RFC 6052), 6to4 (RFC 3056), ISATAP (RFC 5214).
pub fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(pair(high, low)),
        _ => None,
    }
}

/// What is special about an address, in words for a refusal; none for an
/// address of the open internet.
pub fn special(address: IpAddr) -> Option<&'static str> {
    match canonical(address) {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => {
            special_v6(address).or_else(|| embedded(address).and_then(special_v4))
        }
    }
}

/// Where the machine's own credentials are handed out. All of them are special
/// in another way too, but one: no operator means them by a wide network.
pub fn is_metadata(address: IpAddr) -> bool {
    const V4: [Ipv4Addr; 5] = [
        // AWS, Azure, Google, and many more.
        Ipv4Addr::new(169, 254, 169, 254),
        // AWS: credentials of containers.
        Ipv4Addr::new(169, 254, 170, 2),
        // Azure's wire server, which is a public address.
        Ipv4Addr::new(168, 63, 129, 16),
        // Alibaba.
        Ipv4Addr::new(100, 100, 100, 200),
        // Oracle.
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    const V6: [Ipv6Addr; 2] = [
        // AWS.
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        // Google.
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    match canonical(address) {
        IpAddr::V4(address) => V4.contains(&address),
        IpAddr::V6(address) => {
            V6.contains(&address) || embedded(address).is_some_and(|v4| V4.contains(&v4))
        }
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    if is_metadata(IpAddr::V4(address)) {
        return Some("a metadata service");
    }
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared by a carrier (CGNAT)",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] => "reserved for protocols",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "for documentation",
        [192, 88, 99, _] => "a 6to4 relay",
        [198, 18..=19, ..] => "for benchmarks",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if is_metadata(IpAddr::V6(address)) {
        return Some("a metadata service");
    }
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        // Judged by what is embedded.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => return None,
        [0x64, 0xff9b, ..] => "a local translator (NAT64)",
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "for documentation",
        [0x2001, 0, ..] => "a tunnel (Teredo)",
        [0x2001, 0..=0x1ff, ..] => "reserved for protocols",
        [0x2000..=0x3fff, ..] => return None,
        // Nothing else is handed out (RFC 4291, section 2.4).
        _ => "reserved",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Option<&'static str> {
        special(text.parse().expect(text))
    }

    #[test]
    fn what_is_of_the_open_internet_is_not_special() {
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(word(text), None, "{text}");
        }
    }

    #[test]
    fn everything_else_is() {
        let cases = [
            ("0.0.0.0", "unspecified"),
            ("10.1.2.3", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("100.64.0.1", "carrier"),
            ("100.100.100.200", "metadata"),
            ("127.8.8.8", "loopback"),
            ("169.254.1.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("168.63.129.16", "metadata"),
            ("192.0.2.1", "documentation"),
            ("198.19.0.1", "benchmarks"),
            ("239.1.1.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("64:ff9b:1::1", "NAT64"),
            ("2002:7f00:1::", "loopback"),
            ("2002:a9fe:a9fe::1", "metadata"),
            ("2600::5efe:a00:1", "private"),
            ("fd00:ec2::254", "metadata"),
            ("fd12::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("2001:0:1::1", "Teredo"),
            ("100::1", "reserved"),
            ("4000::1", "reserved"),
        ];
        for (text, expected) in cases {
            let word = word(text).unwrap_or_else(|| panic!("{text}"));
            assert!(word.contains(expected), "{text}: {word}");
        }
    }
}
