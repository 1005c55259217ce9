//! Live peers: a real Prometheus and a real Alertmanager, which tell of the
//! same condition on two ways.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::http::Http;
use crate::support::process::Process;
use crate::support::programs::{alertmanager, free_port, prometheus};
use crate::support::server::{Server, Site};
use crate::support::shop::Shop;
use crate::support::wait::eventually;

/// Everything that runs in this test; ends in the order of fields.
struct Scene {
    prometheus: Process,
    alertmanager: Process,
    server: Server,
    shop: Shop,
    site: Site,
}

impl Scene {
    fn set() -> Self {
        let site = Site::new();
        let server = site.serve();
        let shop = Shop::open();
        let (alertmanager, port) = start_alertmanager(&site, &server);
        let prometheus = start_prometheus(&site, &server, &shop, port);
        Self {
            prometheus,
            alertmanager,
            server,
            shop,
            site,
        }
    }

    /// The alert that senders report, once it looks as it should. There is
    /// never more than one.
    fn alert_once(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            self.prometheus.assert_alive();
            self.alertmanager.assert_alive();
            let alerts = self.server.list("/alerts?origin=prometheus");
            let [alert] = alerts.as_slice() else {
                assert!(alerts.is_empty(), "one condition is one alert: {alerts:?}");
                return Err("no alert".to_owned());
            };
            let id = alert["id"].as_str().expect("an id");
            let alert = self.server.get(&format!("/alerts/{id}"));
            is_so(&alert)
                .then(|| alert.clone())
                .ok_or_else(|| alert.to_string())
        })
    }

    /// The incident that the alert is a member of, once it is in this phase.
    fn incident_once(&self, alert: &Value, phase: &str) -> Value {
        let path = format!("/alerts/{}", alert["id"].as_str().expect("an id"));
        eventually(&format!("an incident with it is {phase}"), || {
            let alert = self.server.get(&path);
            let incidents = alert["incidents"].as_array().expect("a list");
            let [incident] = incidents.as_slice() else {
                assert!(incidents.is_empty(), "one alert, one incident: {alert}");
                return Err("no incident".to_owned());
            };
            let id = incident.as_str().expect("an id");
            let incident = self.server.get(&format!("/incidents/{id}"));
            (incident["phase"] == phase)
                .then(|| incident.clone())
                .ok_or_else(|| incident.to_string())
        })
    }

    /// What Prometheus has written of a series of an entity, once there is
    /// some of it.
    fn samples_once(&self, entity: &str, name: &str) -> Value {
        eventually(&format!("there are samples of {name} of {entity}"), || {
            let path = format!("/series?entity={entity}&name={name}");
            let mut series = self.server.list(&path);
            // The filter takes parts of names, too.
            series.retain(|series| series["name"] == name);
            let [series] = series.as_slice() else {
                return Err(format!("{} series", series.len()));
            };
            let samples = self
                .server
                .get(&format!("/series/{}/samples", series["id"]));
            let is_there = samples["samples"].as_u64() > Some(0);
            is_there
                .then(|| samples.clone())
                .ok_or_else(|| samples.to_string())
        })
    }
}

#[test]
fn prometheus_and_alertmanager_tell_of_one_condition_and_its_end() {
    let mut scene = Scene::set();

    let healthy = scene.samples_once("service/shop", "shop_healthy");
    assert_eq!(healthy["points"][0]["value"], 1.0);
    // It understands Faultline's own metrics.
    let up = scene.samples_once("service/faultline", "up");
    assert_eq!(up["points"][0]["value"], 1.0);

    scene.shop.set_failing(true);
    let alert = scene.alert_once("the alert fires from both sources", |alert| {
        alert["state"] == "firing"
            && sources(alert)
                == [
                    ("alertmanager".to_owned(), true),
                    ("alertmanager-api".to_owned(), true),
                ]
                .into()
    });
    assert_eq!(alert["title"], "The shop takes no orders");
    assert_eq!(alert["severity"], "critical");
    assert_eq!(alert["severity_word"], "page");
    assert_eq!(alert["entities"], json!(["service/shop"]));
    let incident = scene.incident_once(&alert, "open");
    assert_eq!(incident["severity"], "critical");
    let member = incident["members"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|member| member["alert"] == alert["id"])
        .expect("it is a member");
    assert_eq!(member["by"]["kind"], "plugin");
    assert!(
        !member["because"]["reason"]
            .as_str()
            .expect("a text")
            .is_empty()
    );

    scene.shop.set_failing(false);
    let alert = scene.alert_once("the alert is resolved by both sources", |alert| {
        alert["state"] == "resolved" && sources(alert).values().all(|firing| !firing)
    });
    assert_eq!(alert["episode"], 1, "it fired once");
    let ended = &alert["ended"]["reported_by"];
    assert!(
        ended.is_string(),
        "it was reported, and not timed out: {alert}"
    );
    let incident = scene.incident_once(&alert, "resolved");
    assert_eq!(incident["resolved"]["how"], "members-resolved");
    let dead = scene.server.list("/dead-letters");
    assert_eq!(dead, [] as [Value; 0]);
    scene.server.assert_serves();
    assert!(scene.prometheus.terminate().success());
    assert!(scene.alertmanager.terminate().success());
    scene.server.stop(&scene.site);
}

/// Who says that it fires, by source.
fn sources(alert: &Value) -> BTreeMap<String, bool> {
    let sources = alert["sources"].as_array().expect("a list");
    sources
        .iter()
        .map(|source| {
            let name = source["source"].as_str().expect("a text").to_owned();
            (name, source["firing"].as_bool().expect("yes or no"))
        })
        .collect()
}

/// Scrapes and evaluates every second; tells Faultline and Alertmanager of
/// alerts, and Faultline of all samples.
fn start_prometheus(site: &Site, server: &Server, shop: &Shop, alertmanager_port: u16) -> Process {
    let rules = json!({"groups": [{"name": "shop", "rules": [{
        "alert": "ShopDown",
        "expr": "shop_healthy == 0",
        "labels": {"severity": "page"},
        "annotations": {"summary": "The shop takes no orders"},
    }]}]});
    let token = json!({"credentials": server.ingest_token});
    let intake = server.intake.authority();
    let config = json!({
        "global": {
            "scrape_interval": "1s",
            "evaluation_interval": "1s",
            "external_labels": {"region": "test"},
        },
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [
            {"static_configs": [{"targets": [intake]}], "authorization": token},
            {"static_configs": [{"targets": [format!("127.0.0.1:{alertmanager_port}")]}]},
        ]},
        "remote_write": [{
            "url": format!("http://{intake}/api/v1/write"),
            "authorization": token,
        }],
        "scrape_configs": [
            {
                "job_name": "shop",
                "static_configs": [{"targets": [shop.address().to_string()]}],
            },
            {
                "job_name": "faultline",
                "authorization": {"credentials": server.admin_token},
                "static_configs": [{"targets": [server.api.authority()]}],
            },
        ],
    });
    let folder = folder(site, "prometheus");
    // JSON is YAML.
    fs::write(folder.join("rules.yml"), rules.to_string()).expect("a file");
    fs::write(folder.join("prometheus.yml"), config.to_string()).expect("a file");
    let mut command = Command::new(prometheus());
    command
        .current_dir(&folder)
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg("--web.listen-address=127.0.0.1:0");
    Process::start("prometheus", &mut command, &folder.join("log"))
}

/// Notifies Faultline of everything, at once. Gives its port, too.
fn start_alertmanager(site: &Site, server: &Server) -> (Process, u16) {
    let config = json!({
        "route": {
            "receiver": "faultline",
            "group_wait": "0s",
            "group_interval": "1s",
        },
        "receivers": [{"name": "faultline", "webhook_configs": [{
            "url": format!("http://{}/hooks/alertmanager", server.intake.authority()),
            "http_config": {"authorization": {"credentials": server.ingest_token}},
        }]}],
    });
    let folder = folder(site, "alertmanager");
    fs::write(folder.join("alertmanager.yml"), config.to_string()).expect("a file");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(alertmanager());
    command
        .current_dir(&folder)
        .arg("--config.file=alertmanager.yml")
        .arg("--storage.path=data")
        .arg(format!("--web.listen-address={address}"))
        // It has no peers, and asks for none.
        .arg("--cluster.listen-address=");
    let mut process = Process::start("alertmanager", &mut command, &folder.join("log"));
    let http = Http::new(&format!("http://{address}"));
    eventually("Alertmanager is ready", || {
        process.assert_alive();
        match http.try_send("GET", "/-/ready", &[], None) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.status.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
    (process, port)
}

fn folder(site: &Site, name: &str) -> std::path::PathBuf {
    let folder = site.scratch(name);
    fs::create_dir_all::<&Path>(&folder).expect("a folder");
    folder
}
