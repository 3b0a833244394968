//! Pods as kubelet makes them.

use super::{Message, Service};

/// The image that all is made of, also the sandboxes.
pub(crate) const IMAGE: &str = "localhost/busybox:1";

/// How a pod is made.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// As the interface counts: 0 is the pod's, 1 the container's, 2 the node's.
    network: u64,
    pid: u64,
    ipc: u64,
    /// The host's id that the pod's root is, if kubelet gives it a range.
    base: Option<u64>,
}

impl Pod {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), network: 0, pid: 1, ipc: 0, base: None }
    }

    /// `shareProcessNamespace: true`.
    pub(crate) fn sharing_processes(self) -> Self {
        Self { pid: 0, ..self }
    }

    /// `hostNetwork: true`.
    pub(crate) fn on_the_hosts_network(self) -> Self {
        Self { network: 2, ..self }
    }

    /// `hostUsers: false`, with a range that kubelet has chosen.
    pub(crate) fn with_range(self, base: u64) -> Self {
        Self { base: Some(base), ..self }
    }

    /// `hostIPC: true`.
    pub(crate) fn with_the_hosts_ipc(self) -> Self {
        Self { ipc: 2, ..self }
    }

    /// `hostPID: true`.
    pub(crate) fn with_the_hosts_processes(self) -> Self {
        Self { pid: 2, ..self }
    }

    fn namespaces(&self) -> Message {
        let namespaces =
            Message::new().number(1, self.network).number(2, self.pid).number(3, self.ipc);
        let Some(base) = self.base else { return namespaces };
        let line = Message::new().number(1, base).number(2, 0).number(3, 65536);
        namespaces.message(5, &Message::new().number(1, 0).message(2, &line).message(3, &line))
    }

    fn config(&self) -> Message {
        let metadata = Message::new()
            .text(1, &self.name)
            .text(2, &format!("uid-{}", self.name))
            .text(3, "default");
        let security = Message::new().message(1, &self.namespaces());
        let linux = Message::new().text(1, "/kubepods").message(2, &security);
        let config = Message::new().message(1, &metadata).message(8, &linux);
        // As kubelet has it: a pod on the node's network has the node's name.
        if self.network == 2 { config } else { config.text(2, &format!("host-{}", self.name)) }
    }

    /// Makes the sandbox.
    pub(crate) fn run(&self, engine: &impl Service) -> Result<String, String> {
        let logs = engine.place().dir().join("logs");
        let config = self.config().text(3, logs.to_str().unwrap());
        let message = Message::new().message(1, &config).text(2, "casemate");
        engine.ask("RunPodSandbox", &message).map(|said| said.text(1))
    }

    /// Makes a container in it. `adjust` adds to the configuration and to its Linux security.
    pub(crate) fn create(
        &self,
        engine: &impl Service,
        sandbox: &str,
        name: &str,
        line: &str,
        adjust: impl Fn(Message, Message) -> (Message, Message),
    ) -> Result<String, String> {
        let security = Message::new().message(3, &self.namespaces()).number(11, 1);
        let config = Message::new()
            .message(1, &Message::new().text(1, name))
            .message(2, &Message::new().text(1, IMAGE))
            .texts(3, &["sh", "-c"])
            .text(4, line)
            .text(11, &format!("{name}.log"));
        let (config, security) = adjust(config, security);
        let config = config.message(15, &Message::new().message(2, &security));
        let logs = engine.place().dir().join("logs");
        let sandbox_config = self.config().text(3, logs.to_str().unwrap());
        let message =
            Message::new().text(1, sandbox).message(2, &config).message(3, &sandbox_config);
        engine.ask("CreateContainer", &message).map(|said| said.text(1))
    }

    /// Makes a container and starts it; its id.
    #[track_caller]
    pub(crate) fn start(
        &self,
        engine: &impl Service,
        sandbox: &str,
        name: &str,
        line: &str,
    ) -> String {
        let id = self.create(engine, sandbox, name, line, |config, security| (config, security));
        let id = id.unwrap_or_else(|why| panic!("{name}: {why}"));
        engine.must("StartContainer", &Message::new().text(1, &id));
        id
    }
}
