//! Connections: pre-login, TLS, login, then requests one after the other, each of which an attention stops.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::error::SqlError;
use super::instance::Instance;
use super::session::{HungUp, Session};
use super::tds::{self, Answer, Encryption, Kind, Login, Message, More, Prelogin, Request, Wire, frame, read_message};

/// Bytes of a packet before a login agrees on another size.
const PACKET: usize = 4096;

/// Accepts connections until the instance stops.
pub(crate) async fn serve(instance: Arc<Instance>, listener: TcpListener, tls: Arc<ServerConfig>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = instance.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (instance, tls) = (Arc::clone(&instance), Arc::clone(&tls));
                let tracker = instance.work.clone();
                tracker.spawn(async move {
                    let stop = instance.stop.clone();
                    tokio::select! {
                        ended = converse(stream, &instance, tls) => if let Err(error) = ended {
                            tracing::debug!(instance = instance.id, %peer, %error, "a connection ends");
                        },
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => tracing::warn!(instance = instance.id, %error, "cannot accept a connection"),
        }
    }
}

async fn converse(mut stream: TcpStream, instance: &Arc<Instance>, tls: Arc<ServerConfig>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let message = expect(read_message(&mut stream).await?, Kind::Prelogin)?;
    let prelogin = Prelogin::parse(&message.payload).map_err(malformed)?;
    stream.write_all(&frame(Kind::Result, &prelogin.answer(), PACKET)).await?;
    let mut wire = match prelogin.agreed() {
        Encryption::Nothing => Wire::Plain(stream),
        _ => tds::accept(stream, tls).await?,
    };
    let message = expect(read_message(&mut wire).await?, Kind::Login)?;
    if prelogin.agreed() == Encryption::Login {
        wire = Wire::Plain(wire.without_tls());
    }
    let login = Login::parse(&message.payload).map_err(malformed)?;
    let (answer, session) = log_in(instance, &login);
    let size = login.packet_size as usize;
    let (reader, mut writer) = tokio::io::split(wire);
    // The answer to the login is in packets of the size before it.
    send(&mut writer, &answer, PACKET).await?;
    match session {
        Some(session) => requests(session, reader, writer, size).await,
        None => writer.shutdown().await,
    }
}

fn log_in(instance: &Arc<Instance>, login: &Login) -> (Answer, Option<Session>) {
    let mut answer = Answer::default();
    let mut session = Session::new(Arc::clone(instance), &login.user, &login.database);
    let refused = if login.integrated || !instance.admits(&login.user, &login.password) {
        Some(SqlError::new(18_456, 14, format!("Login failed for user '{}'.", login.user)))
    } else {
        let name = session.database.clone();
        let text = format!("Cannot open database \"{name}\" requested by the login. The login failed.");
        session.open_database().err().map(|_| SqlError::new(4060, 11, text))
    };
    if let Some(error) = refused {
        tracing::debug!(instance = instance.id, user = login.user, %error, "a login is refused");
        answer.error(&error);
        answer.done_with_error(More::No);
        return (answer, None);
    }
    answer.change(1, &session.database, "master");
    answer.info(5701, &format!("Changed database context to '{}'.", session.database));
    answer.collation();
    answer.change(2, "us_english", "");
    answer.info(5703, "Changed language setting to us_english.");
    answer.login_ack(login.version);
    answer.change(4, &login.packet_size.to_string(), &PACKET.to_string());
    answer.done(More::No, None);
    (answer, Some(session))
}

async fn requests(
    mut session: Session,
    mut reader: ReadHalf<Wire>,
    mut writer: WriteHalf<Wire>,
    size: usize,
) -> io::Result<()> {
    let (inbox, mut messages) = mpsc::channel(4);
    // Reading goes on while a request is carried out: that is how an attention is heard.
    let _reading = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let message = read_message(&mut reader).await;
            let last = !matches!(message, Ok(Some(_)));
            if inbox.send(message).await.is_err() || last {
                return;
            }
        }
    }));
    while let Some(message) = messages.recv().await {
        let Some(message) = message? else { return Ok(()) };
        let answer = if message.kind == Kind::Attention {
            stopped()
        } else {
            let request = Request::parse(&message).map_err(malformed)?;
            tokio::select! {
                answer = session.answer(request) => match answer {
                    Ok(answer) => answer,
                    Err(HungUp) => return Ok(()),
                },
                next = messages.recv() => match next {
                    Some(Ok(Some(Message { kind: Kind::Attention, .. }))) => stopped(),
                    _ => return Ok(()),
                },
            }
        };
        send(&mut writer, &answer, size).await?;
    }
    Ok(())
}

fn stopped() -> Answer {
    let mut answer = Answer::default();
    answer.done_stopped();
    answer
}

async fn send(writer: &mut WriteHalf<Wire>, answer: &Answer, size: usize) -> io::Result<()> {
    writer.write_all(&frame(Kind::Result, answer.bytes(), size)).await?;
    writer.flush().await
}

fn expect(message: Option<Message>, kind: Kind) -> io::Result<Message> {
    match message {
        Some(message) if message.kind == kind => Ok(message),
        Some(message) => Err(malformed(format!("{kind:?} was expected, {:?} came", message.kind))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
