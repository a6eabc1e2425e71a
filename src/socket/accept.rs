//! The accept loop of the clients' port. It is our own because the byte stream under a connection
//! must be: see [`line`](super::line).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{front::Front, wire::Wire};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head at most. Session cookies are the largest thing in there.
const MAX_HEAD: usize = 32 * 1024;
/// Bytes that may wait unsent in the kernel before a reader counts as slow.
const UNSENT_LOW_WATER: u32 = 128 * 1024;

/// Accepts connections until `stop`, then closes idle ones and returns.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, addr)) => {
                if let Err(e) = tune(&stream, front.write_timeout) {
                    tracing::debug!(error = %e, "a connection went before it could be set up");
                    continue;
                }
                tasks.spawn(connection(stream, addr, front.clone(), stop.clone()));
            }
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) => {
                // Out of file descriptors, most likely: accepting again at once would spin.
                tracing::error!(error = %e, "cannot accept connections, trying again");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn is_of_one_connection(e: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        e.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn tune(stream: &TcpStream, write_timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    {
        // Ends what the write timeout cannot see: a peer that vanished with data under way.
        socket.set_tcp_user_timeout(Some(write_timeout * 3))?;
        socket.set_tcp_notsent_lowat(UNSENT_LOW_WATER)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, write_timeout, UNSENT_LOW_WATER);
    Ok(())
}

async fn connection(
    stream: TcpStream,
    addr: SocketAddr,
    front: Arc<Front>,
    stop: CancellationToken,
) {
    let wire = Wire::new(stream, front.write_timeout);
    let line = wire.line().clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (front, line) = (front.clone(), line.clone());
        async move { Ok::<_, std::convert::Infallible>(front.handle(request, addr.ip(), line).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD);
    let mut connection = std::pin::pin!(
        http.serve_connection(TokioIo::new(wire), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        tracing::trace!(error = %e, "connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_send_at_once_and_notice_vanished_peers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(
            !stream.nodelay().unwrap(),
            "the default would need no guard"
        );
        tune(&stream, Duration::from_secs(10)).unwrap();
        assert!(stream.nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(
            SockRef::from(&stream).tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(30))
        );
    }
}
