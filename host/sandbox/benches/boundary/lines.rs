//! Log lines as services write them: some forty kinds of them, with numbers,
//! addresses, times and identifiers that differ from line to line.

use std::fmt::Write as _;

/// Services that write.
pub(crate) const SERVICES: u32 = 10;

/// Kinds of lines. `#` is a number, `@` an address, `~` an identifier, `%` a
/// duration; what else stands there is the same in each line of a kind.
const KINDS: [&str; 40] = [
    "GET /api/orders/# HTTP/1.1 200 # %",
    "POST /api/orders HTTP/1.1 201 # %",
    "GET /api/customers/#/basket HTTP/1.1 200 # %",
    "GET /health HTTP/1.1 200 # %",
    "connection from @ accepted",
    "connection from @ closed after %",
    "request ~ began: user=# route=/checkout",
    "request ~ done in %: status=200 bytes=#",
    "request ~ failed in %: status=503 upstream=payments",
    "payment ~ authorised for order # (amount #.#)",
    "payment ~ declined for order #: insufficient funds",
    "order # placed by customer #: # items",
    "order # shipped with carrier parcel-express, tracking ~",
    "stock of article # is now # in warehouse north",
    "reserved # of article # for order #",
    "could not reserve article # for order #: out of stock",
    "cache miss for key basket:#",
    "cache hit for key basket:# (age %)",
    "evicted # entries from cache prices in %",
    "slow query (%): select * from orders where customer = #",
    "checkpoint starting: time",
    "checkpoint complete: wrote # buffers; sync=%, total=%",
    "automatic vacuum of table shop.public.orders: # pages removed",
    "connection to db-1.shop.example:5432 established in %",
    "connection to db-1.shop.example:5432 lost: timeout after %",
    "retrying call to inventory in % (attempt # of 5)",
    "circuit breaker for payments is open after # failures",
    "circuit breaker for payments is closed again",
    "consumer orders-1 joined group shipping with # partitions",
    "rebalanced group shipping: partition # is mine",
    "lag of group shipping on partition # is # messages",
    "session ~ of user # expired",
    "user # logged in from @",
    "user # failed to log in from @: wrong password",
    "token ~ refreshed for client mobile",
    "rate limit of client # exceeded: # requests in 60 s",
    "pool worker-# took job ~ from queue mails",
    "sent mail order-confirmation to customer # in %",
    "garbage collection took %: heap # MB of # MB",
    "configuration reloaded from /etc/shop/checkout.yaml in %",
];

/// Lines, the same in each run.
pub(crate) struct Lines {
    random: u64,
}

/// One line.
pub(crate) struct Line {
    /// Which of the services.
    pub(crate) service: u32,
    /// As in OpenTelemetry.
    pub(crate) severity: u8,
    pub(crate) text: String,
}

impl Lines {
    pub(crate) const fn new() -> Self {
        Self { random: 7 }
    }

    /// The next line. Some kinds are far more frequent than others.
    pub(crate) fn line(&mut self) -> Line {
        let service = u32::try_from(self.below(u64::from(SERVICES))).unwrap_or_default();
        let kinds = KINDS.len() as u64;
        let (one, other) = (self.below(kinds), self.below(kinds));
        let kind = KINDS[usize::try_from(one.min(other)).unwrap_or_default()];
        let severity = if kind.contains("failed") || kind.contains("lost") {
            17
        } else {
            9
        };
        let mut text = String::with_capacity(kind.len() + 32);
        for mark in kind.chars() {
            // Writing to a string does not fail.
            let _ = match mark {
                '#' => write!(text, "{}", self.below(100_000)),
                '@' => {
                    let [a, b, port] = [self.below(256), self.below(256), self.below(60_000)];
                    write!(text, "10.0.{a}.{b}:{}", port + 1_024)
                }
                '~' => write!(text, "{:016x}", self.next()),
                '%' => write!(text, "{}ms", self.below(5_000)),
                other => text.write_char(other),
            };
        }
        Line {
            service,
            severity,
            text,
        }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// SplitMix64, as for samples.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
