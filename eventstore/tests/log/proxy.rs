//! Stands between a log and its server, and cuts the line at a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// When the line is cut next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Never = 0,
    /// The server never hears of the commit.
    BeforeCommit = 1,
    /// The server has committed and its answer is lost.
    AfterCommit = 2,
}

/// A proxy on a port of its own.
pub struct Proxy {
    pub port: u16,
    cut: Arc<AtomicU8>,
}

trait Line: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

impl Proxy {
    pub async fn before(server: PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicU8::new(Cut::Never as u8));
        let armed = cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, connect(&server).await, armed.clone()));
            }
        });
        Self { port, cut }
    }

    pub fn cut_next(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    pub fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == Cut::Never as u8
    }
}

async fn connect(server: &PgConnectOptions) -> Box<dyn Line> {
    let socket = server.get_socket().map(|path| path.display().to_string());
    let host = socket.unwrap_or_else(|| server.get_host().to_owned());
    if host.starts_with('/') {
        let path = format!("{host}/.s.PGSQL.{}", server.get_port());
        Box::new(UnixStream::connect(path).await.unwrap())
    } else {
        Box::new(TcpStream::connect((host, server.get_port())).await.unwrap())
    }
}

async fn carry(mut client: TcpStream, mut server: Box<dyn Line>, cut: Arc<AtomicU8>) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let sent = &up[..length];
                let commit = sent.windows(7).any(|part| part == b"COMMIT\0");
                let armed = if commit { cut.swap(Cut::Never as u8, Ordering::SeqCst) } else { 0 };
                if armed == Cut::BeforeCommit as u8 {
                    return;
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
                if armed == Cut::AfterCommit as u8 {
                    // The answer comes after the commit is durable, and goes nowhere.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
