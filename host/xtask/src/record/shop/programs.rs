//! The shop's programs: with which arguments and environment each is started.

use crate::processes::Program;
use crate::record::shop::{Load, Shop};

/// Gateway and inventory stay what they are.
pub(super) const RELEASE_OTHERS: &str = "2.3.1";
/// The one machine, by a name that says nothing about where the recording was
/// made.
const HOST: &str = "shop-1";

// Names of programs that are stopped one by one.
pub(super) const ALERTMANAGER: &str = "alertmanager";
pub(super) const CUSTOMERS: &str = "customers";
pub(super) const PROMETHEUS: &str = "prometheus";

impl Shop {
    /// The customers: the only program that does not belong to the shop.
    pub(super) fn customers(&self, load: &Load) -> Program {
        let mut program = self.module(CUSTOMERS, "load");
        program.arguments.extend([
            "--address".to_owned(),
            address(self.ports.nginx),
            "--rate".to_owned(),
            load.rate.to_string(),
            "--seed".to_owned(),
            load.seed.to_string(),
        ]);
        program
    }

    /// A Python module of the shop, without telemetry.
    fn module(&self, name: &str, module: &str) -> Program {
        let module = format!("shop.{module}");
        let mut program = Program::new(name, &self.python, &["-m", &module]);
        program.environment = vec![
            ("PYTHONPATH".to_owned(), self.system.display().to_string()),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
        ];
        program
    }

    /// A Python module that sends telemetry, by OpenTelemetry's environment
    /// variables (specification, "Environment Variable Specification").
    fn sender(&self, name: &str, module: &str, resource: &str) -> Program {
        let mut program = self.module(name, module);
        let resource = format!("host.name={HOST},deployment.environment.name=demo{resource}");
        // Values are percent-encoded.
        let headers = format!("authorization=Bearer%20{}", self.intake.token);
        program.environment.extend(
            [
                ("OTEL_RESOURCE_ATTRIBUTES", resource.as_str()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.intake.url),
                ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
                ("OTEL_BSP_SCHEDULE_DELAY", "4000"),
                ("OTEL_BLRP_SCHEDULE_DELAY", "4000"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "10000"),
                // nginx decides what is traced.
                ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
                ("OTEL_SEMCONV_STABILITY_OPT_IN", "http"),
                // Events of spans are exceptions with their stack traces,
                // which name folders of this machine.
                ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
                (
                    "OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS",
                    "/metrics,/healthz",
                ),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        program
    }

    fn service(&self, name: &str, service: &str, release: &str, port: u16) -> Program {
        let resource = format!(",service.version={release},service.instance.id={service}-1");
        let mut program = self.sender(name, service, &resource);
        program
            .environment
            .push(("OTEL_SERVICE_NAME".to_owned(), service.to_owned()));
        program.arguments.extend([
            "--release".to_owned(),
            release.to_owned(),
            "--port".to_owned(),
            port.to_string(),
        ]);
        program
    }

    pub(super) fn inventory(&self) -> Program {
        let mut program = self.service(
            "inventory",
            "inventory",
            RELEASE_OTHERS,
            self.ports.inventory,
        );
        program.arguments.extend([
            "--database".to_owned(),
            self.postgresql.connection("inventory"),
            "--config".to_owned(),
            self.run.join("inventory.json").display().to_string(),
        ]);
        program
    }

    pub(super) fn orders(&self, release: &str) -> Program {
        let mut program = self.service(&orders_name(release), "orders", release, self.ports.orders);
        program.arguments.extend([
            "--database".to_owned(),
            self.postgresql.connection("orders"),
            "--inventory".to_owned(),
            address(self.ports.inventory),
        ]);
        program
    }

    pub(super) fn gateway(&self) -> Program {
        let mut program = self.service("gateway", "gateway", RELEASE_OTHERS, self.ports.gateway);
        program.arguments.extend([
            "--orders".to_owned(),
            address(self.ports.orders),
            "--inventory".to_owned(),
            address(self.ports.inventory),
        ]);
        program
    }

    pub(super) fn nginx(&self) -> Program {
        let config = self.run.join("nginx.conf").display().to_string();
        let errors = self.processes.log("nginx-error").display().to_string();
        Program::new(
            "nginx",
            "/usr/sbin/nginx",
            // The error log is named here too, for what goes wrong before the
            // configuration is read.
            &["-e", &errors, "-c", &config, "-g", "daemon off;"],
        )
    }

    pub(super) fn exporters(&self) -> [Program; 3] {
        let listen = |port: u16| format!("--web.listen-address={}", address(port));
        let queries = self.system.join("config/postgres-queries.yml");
        let queries = queries.display();
        let mut postgresql = Program::new(
            "postgres-exporter",
            "/usr/bin/prometheus-postgres-exporter",
            &[
                &listen(self.ports.postgres_exporter),
                &format!("--extend.query-path={queries}"),
            ],
        );
        postgresql.environment = vec![(
            "DATA_SOURCE_NAME".to_owned(),
            format!(
                "postgresql://exporter@127.0.0.1:{}/shop?sslmode=disable",
                self.ports.postgresql
            ),
        )];
        let status = format!(
            "-nginx.scrape-uri=http://127.0.0.1:{}/stub_status",
            self.ports.nginx_status
        );
        let nginx = Program::new(
            "nginx-exporter",
            "/usr/bin/prometheus-nginx-exporter",
            &[
                &format!("-web.listen-address={}", address(self.ports.nginx_exporter)),
                &status,
            ],
        );
        // No collector that knows the machine's name.
        let node = Program::new(
            "node-exporter",
            "/usr/bin/prometheus-node-exporter",
            &[
                &listen(self.ports.node_exporter),
                "--collector.disable-defaults",
                "--collector.cpu",
                "--collector.diskstats",
                "--collector.diskstats.device-exclude=^(ram|loop|fd|nbd)\\d+$",
                "--collector.filesystem",
                "--collector.filesystem.mount-points-exclude=^/.+",
                "--collector.loadavg",
                "--collector.meminfo",
                "--collector.netdev",
                "--collector.netstat",
                "--collector.sockstat",
            ],
        );
        [postgresql, nginx, node]
    }

    pub(super) fn alertmanager(&self) -> Program {
        let config = self.run.join("alertmanager.yml");
        Program::new(
            ALERTMANAGER,
            "/usr/bin/prometheus-alertmanager",
            &[
                &format!("--config.file={}", config.display()),
                &format!("--storage.path={}", self.run.join("alertmanager").display()),
                &format!("--web.listen-address={}", address(self.ports.alertmanager)),
                // It is in links, which should not name this machine.
                "--web.external-url=http://alertmanager.shop.example",
                "--cluster.listen-address=",
            ],
        )
    }

    pub(super) fn prometheus_program(&self) -> Program {
        let config = self.run.join("prometheus.yml");
        Program::new(
            PROMETHEUS,
            "/usr/bin/prometheus",
            &[
                &format!("--config.file={}", config.display()),
                &format!(
                    "--storage.tsdb.path={}",
                    self.run.join("prometheus").display()
                ),
                &format!("--web.listen-address={}", address(self.ports.prometheus)),
                "--web.external-url=http://prometheus.shop.example",
            ],
        )
    }

    pub(super) fn shipper(&self) -> Program {
        let mut program = self.sender("shipper", "shipper", "");
        let log = |name: &str| self.processes.log(name).display().to_string();
        program.arguments.extend([
            "--postgresql-log".to_owned(),
            self.postgresql.log().display().to_string(),
            "--nginx-error-log".to_owned(),
            log("nginx-error"),
            "--nginx-access-log".to_owned(),
            log("nginx-access"),
            "--gateway".to_owned(),
            address(self.ports.gateway),
        ]);
        program
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Two releases run side by side for a moment.
pub(super) fn orders_name(release: &str) -> String {
    format!("orders-{release}")
}
