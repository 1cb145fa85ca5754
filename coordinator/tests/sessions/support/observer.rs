//! Stops a coordinator at a moment of a step, for good or until it is let go.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haulier_coordinator::workflows::observer::{Moment, StepObserver};
use haulier_domain::id::SessionId;
use tokio::sync::Notify;

/// Stops the first flow that comes to a moment of a step, and says so; records every step that was begun.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    freeze: Mutex<Option<(String, Moment, Sender<()>)>>,
    begun: Mutex<Vec<String>>,
    thaw: Arc<Notify>,
}

impl Observer {
    /// Freezes at this moment. The receiver hears when it has come to it.
    pub(crate) fn freezing(step: &str, moment: Moment) -> (Self, Frozen) {
        let (sender, receiver) = channel();
        let freeze = Mutex::new(Some((step.to_owned(), moment, sender)));
        let observer = Self { freeze, ..Self::default() };
        let thaw = observer.thaw.clone();
        (observer, Frozen { come: receiver, thaw })
    }

    /// Steps whose bodies were begun, in order.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }
}

/// Hears of a freeze, and ends it.
pub(crate) struct Frozen {
    come: Receiver<()>,
    thaw: Arc<Notify>,
}

impl Frozen {
    /// Waits until it has happened. False where it did not.
    pub(crate) fn wait(&self) -> bool {
        self.come.recv_timeout(Duration::from_secs(30)).is_ok()
    }

    /// Lets the flow go on.
    pub(crate) fn release(&self) {
        self.thaw.notify_one();
    }
}

#[async_trait]
impl StepObserver for Observer {
    async fn at(&self, _session: &SessionId, step: &str, moment: Moment) {
        if moment == Moment::Before {
            self.begun.lock().unwrap().push(step.to_owned());
        }
        let frozen = {
            let mut freeze = self.freeze.lock().unwrap();
            match freeze.take() {
                Some((wanted, at, sender)) if wanted == step && at == moment => {
                    sender.send(()).unwrap();
                    true
                }
                other => {
                    *freeze = other;
                    false
                }
            }
        };
        if frozen {
            self.thaw.notified().await;
        }
    }
}
