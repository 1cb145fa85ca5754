//! One thread that starts every long-lived child, so that no child outlives the cloud.
//!
//! Children ask the kernel for a signal at the death of their parent (`setpriv --pdeathsig`). The kernel means the
//! parent *thread*, and a runtime's threads come and go; this one lives exactly as long as the cloud. When the cloud is
//! dropped, killed or crashes, the thread ends and everything it started goes with it.

use std::io;

use anyhow::Context as _;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

/// Starts children from a thread of its own.
#[derive(Debug, Clone)]
pub(crate) struct Nursery {
    orders: mpsc::Sender<Order>,
}

#[derive(Debug)]
struct Order {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Nursery {
    /// Starts the thread; the current runtime is the one that reaps the children.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (orders, mut inbox) = mpsc::channel::<Order>(16);
        std::thread::Builder::new()
            .name("nursery".into())
            .spawn(move || {
                let _inside = runtime.enter();
                while let Some(mut order) = inbox.blocking_recv() {
                    // Whoever gave the order may have been cancelled; the child is killed on drop then.
                    let _ = order.answer.send(order.command.kill_on_drop(true).spawn());
                }
            })
            .context("starting the thread that owns child processes")?;
        Ok(Self { orders })
    }

    /// Starts a child that dies when the cloud does.
    pub(crate) async fn spawn(&self, command: Command) -> anyhow::Result<Child> {
        let (answer, result) = oneshot::channel();
        self.orders
            .send(Order { command, answer })
            .await
            .map_err(|_| anyhow::anyhow!("the thread that owns child processes has ended"))?;
        let child = result.await.context("the thread that owns child processes has ended")?;
        child.context("starting a child process")
    }
}
