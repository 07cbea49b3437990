//! The sender: some keep-alive connections, each with one request under way, in a process of its own.
//!
//! The generator shares the machine with what it measures, so it does as little as possible: one thread, a request that
//! is prepared once and of which only the id's digits change, one write and one read per request, no HTTP library. When
//! the time is over each connection waits for its last answer, so that every request that was sent has been answered
//! and what was stored can be compared with what was told.
//!
//! Ids are made of round, connection and number, so that whoever knows the counts knows the ids.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::child;
use crate::yardstick::{SIGNATURE_HEADER, mac};

/// Header of the delivery's id.
pub(crate) const ID_HEADER: &str = "x-event-id";

/// Digits of an id.
const ID_DIGITS: usize = 16;

/// Longest answer that is understood, bytes.
const ANSWER_BYTES_MAX: usize = 4_096;

/// What is sent where.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Address of the server.
    #[arg(long)]
    address: String,
    /// Path of the requests.
    #[arg(long)]
    path: String,
    /// What they are signed with.
    #[arg(long)]
    secret: String,
    /// Bytes of a body.
    #[arg(long, default_value_t = 2_048)]
    body_bytes: usize,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: u16,
    /// Seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Round, part of the ids.
    #[arg(long, default_value_t = 0)]
    round: u16,
}

impl Options {
    /// The arguments that start a sender with these options.
    pub(crate) fn arguments(&self) -> Vec<String> {
        child::arguments(
            "send",
            [
                ("--address", self.address.clone()),
                ("--path", self.path.clone()),
                ("--secret", self.secret.clone()),
                ("--body-bytes", self.body_bytes.to_string()),
                ("--connections", self.connections.to_string()),
                ("--seconds", self.seconds.to_string()),
                ("--round", self.round.to_string()),
            ],
        )
    }

    /// A sender to this address; the rest by default.
    pub(crate) fn to(address: &str, path: &str, secret: &str) -> Options {
        let (address, path, secret) = (address.to_owned(), path.to_owned(), secret.to_owned());
        Options { address, path, secret, body_bytes: 2_048, connections: 64, seconds: 3.0, round: 0 }
    }

    /// With so many connections, for so long, in this round.
    pub(crate) fn round(mut self, connections: u16, seconds: f64, round: u16) -> Options {
        (self.connections, self.seconds, self.round) = (connections, seconds, round);
        self
    }
}

/// What a sender was told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Answers of 2xx per connection: their ids are the first so many of it.
    pub(crate) accepted: Vec<u64>,
    /// Other answers.
    pub(crate) refused: u64,
    /// Answers per second.
    pub(crate) per_second: f64,
    /// Median of the time from request to answer, microseconds.
    pub(crate) p50_us: u64,
    /// The 99th of a hundred.
    pub(crate) p99_us: u64,
}

impl Sent {
    /// Answers of 2xx.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.iter().sum()
    }
}

/// What the ids of a connection begin with.
pub(crate) fn prefix(round: u16, connection: u16) -> String {
    format!("{round:04x}{connection:04x}")
}

/// The id of a connection's request.
fn id(round: u16, connection: u16, number: u32) -> String {
    format!("{}{number:08x}", prefix(round, connection))
}

/// Sends for the given time and says what was told.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = runtime.block_on(send(options))?;
    child::say(&sent)
}

async fn send(options: &Options) -> anyhow::Result<Sent> {
    let mut lines = Vec::new();
    for connection in 0..options.connections {
        let stream = TcpStream::connect(&options.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        lines.push(Line { stream, request: Request::new(options, connection) });
    }
    let start = Instant::now();
    let deadline = start + Duration::from_secs_f64(options.seconds);
    let mut connections = JoinSet::new();
    for (number, line) in lines.into_iter().enumerate() {
        connections.spawn(async move { (number, line.send_until(deadline).await) });
    }
    let mut accepted = vec![0; usize::from(options.connections)];
    let mut refused = 0;
    let mut times = Histogram::<u64>::new(3)?;
    while let Some(ended) = connections.join_next().await {
        let (number, told) = ended?;
        let told = told?;
        accepted[number] = told.accepted;
        refused += told.refused;
        times.add(told.times)?;
    }
    let per_second = times.len() as f64 / start.elapsed().as_secs_f64();
    let (p50_us, p99_us) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
    Ok(Sent { accepted, refused, per_second, p50_us, p99_us })
}

/// A request whose id's digits change.
struct Request {
    bytes: Vec<u8>,
    id_at: usize,
    prefix: String,
}

impl Request {
    fn new(options: &Options, connection: u16) -> Request {
        let body = body(options.body_bytes);
        let signature = hex::encode(mac(options.secret.as_bytes(), &body).finalize().into_bytes());
        let id = id(options.round, connection, 0);
        let (path, address) = (&options.path, &options.address);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: creel-bench\r\naccept: */*\r\n\
             content-type: application/json\r\n{SIGNATURE_HEADER}: {signature}\r\ncontent-length: {}\r\n\
             {ID_HEADER}: {id}\r\n\r\n",
            body.len()
        );
        let id_at = head.len() - 4 - ID_DIGITS;
        Request { bytes: [head.as_bytes(), &body].concat(), id_at, prefix: id[..8].to_owned() }
    }

    fn number(&mut self, number: u32) -> &[u8] {
        let mut place = &mut self.bytes[self.id_at..self.id_at + ID_DIGITS];
        // A slice of the right length takes what is written into it.
        let _ = write!(place, "{}{number:08x}", self.prefix);
        &self.bytes
    }
}

/// A JSON body of that many bytes.
fn body(bytes: usize) -> Vec<u8> {
    let head = r#"{"type":"call.ended","call":{"id":"c-1842","status":"completed","duration_s":214},"transcript":""#;
    let words = "Guten Tag, ich rufe wegen meiner Bestellung an. ".repeat(bytes / 40 + 1);
    let words = &words.as_bytes()[..bytes.saturating_sub(head.len() + 2)];
    [head.as_bytes(), words, b"\"}"].concat()
}

/// What one connection was told.
struct Told {
    accepted: u64,
    refused: u64,
    times: Histogram<u64>,
}

struct Line {
    stream: TcpStream,
    request: Request,
}

impl Line {
    async fn send_until(mut self, deadline: Instant) -> anyhow::Result<Told> {
        let mut told = Told { accepted: 0, refused: 0, times: Histogram::new(3)? };
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        let mut number = 0;
        let mut sent_at = Instant::now();
        while sent_at < deadline {
            self.stream.write_all(self.request.number(number)).await.context("sending")?;
            let status = answer(&mut self.stream, &mut buffer).await?;
            let now = Instant::now();
            told.times.record((now - sent_at).as_micros() as u64)?;
            sent_at = now;
            if (200..300).contains(&status) {
                ensure!(told.refused == 0, "accepted after a refusal: ids can't be told from counts");
                told.accepted += 1;
            } else {
                told.refused += 1;
            }
            number += 1;
        }
        Ok(told)
    }
}

/// Reads one answer; gives its status.
pub(crate) async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<u16> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.context("reading an answer")?;
        if read == 0 {
            bail!("the server closed the connection, or its answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
        filled += read;
        let Some((status, length)) = parse(&buffer[..filled])? else { continue };
        match filled.cmp(&length) {
            std::cmp::Ordering::Equal => return Ok(status),
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Greater => bail!("more came than one answer"),
        }
    }
}

/// Status and whole length of an answer whose head is complete.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).context("an answer that is no text")?;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok()).context("an answer without a status")?;
    Ok(Some((status, head + 4 + content_length(text))))
}

/// What a head says about its body's length; 0 when it says nothing.
pub(crate) fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_number() {
        let options = Options::to("127.0.0.1:1", "/in/x", "s").round(1, 1.0, 2);
        let mut request = Request::new(&options, 3);
        let text = String::from_utf8(request.number(0xab).to_vec()).unwrap();
        assert!(text.contains(&format!("{ID_HEADER}: {}\r\n\r\n{{", id(2, 3, 0xab))), "{text}");
        assert!(text.ends_with("\"}") && text.contains("content-length: 2048\r\n"));
    }

    #[test]
    fn answers_are_measured() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(parse(answer).unwrap(), Some((202, answer.len())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent").unwrap(), None);
    }
}
