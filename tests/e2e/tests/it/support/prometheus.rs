//! A real Prometheus, which watches the shop and tells of it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::http::Http;
use super::process::Process;
use super::programs::{free_port, prometheus};
use super::server::{Server, Site};
use super::shop::Shop;
use super::wait::eventually;

/// Starts one that scrapes the shop and evaluates every second, and sends what
/// fires to Faultline; `change` makes something else of its configuration. Gives
/// its URL, too; it answers there.
pub(crate) fn start(
    site: &Site,
    server: &Server,
    shop: &Shop,
    change: impl FnOnce(&mut Value),
) -> (Process, String) {
    let rules = json!({"groups": [{"name": "shop", "rules": [{
        "alert": "ShopDown",
        "expr": "shop_healthy == 0",
        "labels": {"severity": "page"},
        "annotations": {"summary": "The shop takes no orders"},
    }]}]});
    let mut config = json!({
        "global": {
            "scrape_interval": "1s",
            "evaluation_interval": "1s",
            "external_labels": {"region": "test"},
        },
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{
            "static_configs": [{"targets": [server.intake.authority()]}],
            "authorization": {"credentials": server.ingest_token},
        }]},
        "scrape_configs": [{
            "job_name": "shop",
            "static_configs": [{"targets": [shop.address().to_string()]}],
        }],
    });
    change(&mut config);
    let folder = site.scratch("prometheus");
    fs::create_dir_all(&folder).expect("a folder");
    // JSON is YAML.
    fs::write(folder.join("rules.yml"), rules.to_string()).expect("a file");
    fs::write(folder.join("prometheus.yml"), config.to_string()).expect("a file");
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(prometheus());
    command
        .current_dir(&folder)
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"));
    let mut process = Process::start("prometheus", &mut command, &folder.join("log"));
    let url = format!("http://{address}");
    wait_until_ready("Prometheus", &mut process, &url);
    (process, url)
}

/// Until a server of the Prometheus project says that it is ready.
pub(crate) fn wait_until_ready(name: &str, process: &mut Process, url: &str) {
    let http = Http::new(url);
    eventually(&format!("{name} is ready"), || {
        process.assert_alive();
        match http.try_send("GET", "/-/ready", &[], None) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.status.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
}
