//! Free ports of this machine, one for each program that listens.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// A port for each program that listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) alertmanager: u16,
    pub(crate) gateway: u16,
    pub(crate) inventory: u16,
    pub(crate) nginx: u16,
    pub(crate) nginx_exporter: u16,
    pub(crate) nginx_status: u16,
    pub(crate) node_exporter: u16,
    pub(crate) orders: u16,
    pub(crate) postgres_exporter: u16,
    pub(crate) postgresql: u16,
    pub(crate) prometheus: u16,
}

impl Ports {
    /// Ports that are free at this moment.
    pub(crate) fn choose() -> Result<Self> {
        let [
            alertmanager,
            gateway,
            inventory,
            nginx,
            nginx_exporter,
            nginx_status,
            node_exporter,
            orders,
            postgres_exporter,
            postgresql,
            prometheus,
        ] = free_ports()?;
        Ok(Self {
            alertmanager,
            gateway,
            inventory,
            nginx,
            nginx_exporter,
            nginx_status,
            node_exporter,
            orders,
            postgres_exporter,
            postgresql,
            prometheus,
        })
    }

    /// By name, to fill templates with.
    pub(crate) fn named(&self) -> Vec<(&'static str, String)> {
        [
            ("alertmanager", self.alertmanager),
            ("gateway", self.gateway),
            ("inventory", self.inventory),
            ("nginx", self.nginx),
            ("nginx_exporter", self.nginx_exporter),
            ("nginx_status", self.nginx_status),
            ("node_exporter", self.node_exporter),
            ("orders", self.orders),
            ("postgres_exporter", self.postgres_exporter),
            ("postgresql", self.postgresql),
            ("prometheus", self.prometheus),
        ]
        .map(|(name, port)| (name, port.to_string()))
        .into()
    }
}

/// Ports that are free at this moment. All are held until the last one is found,
/// so that no two are the same.
///
/// # Errors
/// If the machine has none.
pub(crate) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut held = Vec::with_capacity(COUNT);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
        *port = listener.local_addr().context("reading a port")?.port();
        held.push(listener);
    }
    Ok(ports)
}
