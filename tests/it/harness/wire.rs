//! A socket for senders that no HTTP client would be: too slow, too long, gone in the middle.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A connection to a host.
pub(crate) struct Wire<S = TcpStream>(S);

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Wire {
        Wire(TcpStream::connect(address).await.expect("the ingress takes connections"))
    }

    /// Connects from this address of the machine.
    pub(crate) async fn connect_from(from: Ipv4Addr, address: SocketAddr) -> Wire {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("every 127.x.y.z is this machine's");
        Wire(socket.connect(address).await.expect("the host takes connections"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection that exists.
    pub(crate) fn over(stream: S) -> Wire<S> {
        Wire(stream)
    }

    /// Writes a request's head: POST to this path with these further lines.
    pub(crate) async fn head(&mut self, path: &str, lines: &[&str]) {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("POST {path} HTTP/1.1\r\nhost: creel.test\r\n{lines}\r\n");
        self.write(head.as_bytes()).await;
    }

    /// Writes bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the host reads what it is sent");
    }

    /// Closes its own half of the connection.
    pub(crate) async fn says_nothing_more(&mut self) {
        self.0.shutdown().await.expect("the connection is open");
    }

    /// Writes bytes as long as the host reads them.
    pub(crate) async fn write_what_is_taken(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Reads until the host closes: the whole answer.
    pub(crate) async fn answer(mut self) -> String {
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).await.expect("the host closes without a reset");
        String::from_utf8(answer).expect("an answer in ASCII")
    }

    /// Reads one line.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.0.read_u8().await.expect("a line comes"));
        }
        String::from_utf8(line).expect("an answer in ASCII")
    }

    /// Reads until the host closes, in whatever way.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut piece = [0; 4_096];
        while let Ok(length @ 1..) = self.0.read(&mut piece).await {
            rest.extend_from_slice(&piece[..length]);
        }
        rest
    }

    /// The statuses of all answers until the host closes.
    pub(crate) async fn statuses(mut self) -> Vec<u16> {
        let rest = self.rest().await;
        let text = String::from_utf8_lossy(&rest);
        // The words of an answer may speak of HTTP too; no status follows them.
        text.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
    }
}
