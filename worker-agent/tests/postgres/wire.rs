//! A wire between the mover and a server, whose answers can be lost.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The wire. Every connection to its port is carried on to the server.
pub(crate) struct Wire {
    pub(crate) port: u16,
    state: Arc<std::sync::Mutex<State>>,
}

/// Belongs to the connections that are there now: new ones get another.
#[derive(Default, Clone)]
struct State {
    muted: CancellationToken,
    cut: CancellationToken,
}

impl Wire {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<std::sync::Mutex<State>>::default();
        let current = state.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let state = current.lock().unwrap().clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(client, server, &state.muted) => {}
                        () = state.cut.cancelled() => {}
                    }
                });
            }
        });
        Self { port, state }
    }

    /// From now on no answer arrives on the connections there are; what is asked still does.
    pub(crate) fn mute(&self) {
        self.state.lock().unwrap().muted.cancel();
    }

    /// Those connections break. New ones are sound.
    pub(crate) fn cut(&self) {
        let broken = std::mem::take(&mut *self.state.lock().unwrap());
        broken.cut.cancel();
    }
}

async fn carry(client: TcpStream, server: TcpStream, muted: &CancellationToken) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::io::copy(&mut from_client, &mut to_server);
    let answering = async {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            if !muted.is_cancelled() && to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
        if muted.is_cancelled() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = asking => {}
        () = answering => {}
    }
}
