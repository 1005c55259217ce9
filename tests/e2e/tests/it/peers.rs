//! Live peers: a real Prometheus and a real Alertmanager, which tell of the
//! same condition on two ways.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::alerts::{only_alert, sources};
use crate::support::process::Process;
use crate::support::programs::{alertmanager, free_port};
use crate::support::prometheus::{self, wait_until_ready};
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

    /// The alert that senders report, once it looks as it should.
    fn alert_once(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || {
            self.prometheus.assert_alive();
            self.alertmanager.assert_alive();
            let alert = only_alert(&self.server)?;
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

/// Scrapes and evaluates every second; tells Faultline and Alertmanager of
/// alerts, and Faultline of all samples, its own among them.
fn start_prometheus(site: &Site, server: &Server, shop: &Shop, alertmanager_port: u16) -> Process {
    let (process, _) = prometheus::start(site, server, shop, |config| {
        let push = |list: &mut Value, item: Value| list.as_array_mut().expect("a list").push(item);
        push(
            &mut config["alerting"]["alertmanagers"],
            json!({"static_configs": [{"targets": [format!("127.0.0.1:{alertmanager_port}")]}]}),
        );
        push(
            &mut config["scrape_configs"],
            json!({
                "job_name": "faultline",
                "authorization": {"credentials": server.admin_token},
                "static_configs": [{"targets": [server.api.authority()]}],
            }),
        );
        config["remote_write"] = json!([{
            "url": format!("http://{}/api/v1/write", server.intake.authority()),
            "authorization": {"credentials": server.ingest_token},
        }]);
    });
    process
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
    let folder = site.scratch("alertmanager");
    fs::create_dir_all(&folder).expect("a folder");
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
    wait_until_ready("Alertmanager", &mut process, &format!("http://{address}"));
    (process, port)
}
