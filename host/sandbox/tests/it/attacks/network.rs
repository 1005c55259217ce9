//! A network that only says where it was asked to connect to: every address
//! leads to the same loopback server.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use faultline_egress::{Network, Pending};
use tokio::net::TcpStream;

/// An address that drops what is sent to it.
const SILENT: &str = "93.184.216.99";

pub(super) struct Fake {
    names: Mutex<BTreeMap<String, VecDeque<Vec<IpAddr>>>>,
    dialled: Mutex<Vec<String>>,
    tls: u16,
    plain: u16,
}

impl Fake {
    pub(super) fn new(tls: u16, plain: u16) -> Self {
        Self {
            names: Mutex::default(),
            dialled: Mutex::default(),
            tls,
            plain,
        }
    }

    /// Another attack begins.
    pub(super) fn reset(&self, names: BTreeMap<String, Vec<Vec<String>>>) {
        let parse = |text: &String| text.parse().unwrap_or_else(|_| panic!("{text}"));
        let names = names.into_iter().map(|(name, lookups)| {
            let lookups = lookups
                .iter()
                .map(|found| found.iter().map(parse).collect());
            (name, lookups.collect())
        });
        *self.names.lock().expect("no panic") = names.collect();
        self.dialled.lock().expect("no panic").clear();
    }

    pub(super) fn dialled(&self) -> Vec<String> {
        self.dialled.lock().expect("no panic").clone()
    }
}

impl Network for Fake {
    fn resolve<'a>(&'a self, name: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        let mut names = self.names.lock().expect("no panic");
        let found = names.get_mut(name).and_then(|lookups| {
            if lookups.len() > 1 {
                lookups.pop_front()
            } else {
                lookups.front().cloned()
            }
        });
        Box::pin(async move { found.ok_or_else(|| io::ErrorKind::NotFound.into()) })
    }

    fn connect(&self, address: SocketAddr) -> Pending<'_, io::Result<TcpStream>> {
        let mut dialled = self.dialled.lock().expect("no panic");
        dialled.push(address.to_string());
        if address.ip().to_string() == SILENT {
            return Box::pin(std::future::pending());
        }
        let port = match address.port() {
            80 | 8080 => self.plain,
            _ => self.tls,
        };
        Box::pin(TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
    }
}
