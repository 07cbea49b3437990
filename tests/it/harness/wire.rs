//! A socket for senders that no HTTP client would be: too slow, too long, gone in the middle.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to the ingress.
pub(crate) struct Wire(TcpStream);

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Wire {
        Wire(TcpStream::connect(address).await.expect("the ingress takes connections"))
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

    /// Reads until the host closes: the whole answer.
    pub(crate) async fn answer(mut self) -> String {
        let mut answer = Vec::new();
        self.0.read_to_end(&mut answer).await.expect("the host closes without a reset");
        String::from_utf8(answer).expect("an answer in ASCII")
    }
}
