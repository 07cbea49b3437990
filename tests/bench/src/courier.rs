//! The sender and the receiver of the whole way: what goes in signed comes out as a call, and both ends are timed here.
//!
//! Sender and receiver share one thread and one clock. Every request is a push with a number of its own, in a header and in
//! the body, where the plugin carries it into its call; so each call that arrives says which request it came from, and
//! what is missing or came twice is counted.
//!
//! Closed loop: so many connections, and at most so many events between request and call. Open loop: requests have
//! intended times, and a late one is timed from when it should have left, so that a server that stalls can't slow the
//! questions down. A thread of its own keeps those times, because the timers of the runtime count whole milliseconds.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use hmac::Mac as _;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore};
use tokio::task::JoinSet;

use crate::guest;
use crate::load::{self, ID_HEADER};
use crate::yardstick::{SIGNATURE_HEADER, mac};

/// Longest answer, longest call, bytes.
const MESSAGE_BYTES_MAX: usize = 16_384;

/// A call that hasn't come so long after the last one came is lost.
const SILENCE: Duration = Duration::from_secs(20);

/// Stands before the number in a call's text.
const MARK: &[u8] = b"...";

/// Digits of a number.
const DIGITS: usize = 16;

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Address of the server.
    pub(crate) address: String,
    /// Path of the requests.
    pub(crate) path: String,
    /// What they are signed with.
    pub(crate) secret: String,
}

/// How requests leave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as they go, with at most so many events under way.
    Saturated(usize),
    /// So many per second, whatever becomes of them.
    Offered(u32),
}

/// What became of the requests of one phase.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Flow {
    /// Requests answered 2xx.
    pub(crate) accepted: u64,
    /// Requests answered otherwise.
    pub(crate) refused: u64,
    /// Accepted ones whose call never came.
    pub(crate) lost: u64,
    /// Calls beyond the first of a request.
    pub(crate) doubled: u64,
    /// Calls per second, from the first request to the last call.
    pub(crate) per_second: f64,
    /// Median of the time from (intended) request to call, milliseconds.
    pub(crate) p50_ms: f64,
    /// The 95th of a hundred.
    pub(crate) p95_ms: f64,
    /// The 99th of a hundred.
    pub(crate) p99_ms: f64,
}

/// One request on its way.
struct Sent {
    intended: Instant,
    accepted: bool,
    calls: u32,
}

/// All requests of one phase.
#[derive(Default)]
struct Book {
    first: u64,
    sent: Vec<Sent>,
    times: Vec<f64>,
    last_call: Option<Instant>,
    /// Calls that belong to no request of this phase.
    strange: u64,
}

/// What both ends write down.
struct Ends {
    book: Mutex<Book>,
    under_way: Semaphore,
    arrived: Notify,
}

impl Ends {
    fn new() -> Ends {
        Ends { book: Mutex::default(), under_way: Semaphore::new(0), arrived: Notify::new() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sends(&self, intended: Instant) -> u64 {
        let mut book = self.book();
        book.sent.push(Sent { intended, accepted: false, calls: 0 });
        book.first + book.sent.len() as u64 - 1
    }

    fn told(&self, number: u64, accepted: bool) {
        let mut book = self.book();
        let place = (number - book.first) as usize;
        book.sent[place].accepted = accepted;
        if !accepted {
            self.under_way.add_permits(1);
        }
    }

    fn called(&self, number: Option<u64>, now: Instant) {
        let mut book = self.book();
        let first = book.first;
        let place = number.and_then(|number| usize::try_from(number.checked_sub(first)?).ok());
        let Some(sent) = place.and_then(|place| book.sent.get_mut(place)) else {
            book.strange += 1;
            return;
        };
        sent.calls += 1;
        if sent.calls == 1 {
            let time = (now - sent.intended).as_secs_f64() * 1e3;
            book.times.push(time);
            book.last_call = Some(now);
            self.under_way.add_permits(1);
        }
        self.arrived.notify_one();
    }

    fn is_complete(&self) -> bool {
        let book = self.book();
        book.times.len() >= book.sent.iter().filter(|sent| sent.accepted).count()
    }
}

/// Sender and receiver.
pub(crate) struct Courier {
    runtime: Runtime,
    ends: Arc<Ends>,
    address: SocketAddr,
    /// Books so far; the first is that of the counted phases.
    books: AtomicU64,
}

impl Courier {
    /// Starts the receiver on a thread of its own.
    pub(crate) fn start() -> anyhow::Result<Courier> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("binding the receiver")?;
        let address = listener.local_addr()?;
        let ends = Arc::new(Ends::new());
        runtime.spawn(receive(listener, ends.clone()));
        Ok(Courier { runtime, ends, address, books: AtomicU64::new(1) })
    }

    /// Where calls are to go.
    pub(crate) fn receiver(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Calls that came and belong to no request of the last phase.
    pub(crate) fn strange(&self) -> u64 {
        self.ends.book().strange
    }

    /// Sends for so many seconds, waits for every call, and says what came.
    pub(crate) fn send(&self, to: &Target, connections: u16, seconds: f64, pace: Pace) -> anyhow::Result<Flow> {
        {
            let mut book = self.ends.book();
            let first = book.first + book.sent.len() as u64;
            *book = Book { first, ..Book::default() };
        }
        let (ends, to) = (self.ends.clone(), to.clone());
        let phase = async move { tokio::spawn(phase(ends, to, connections, seconds, pace)).await? };
        let start = self.runtime.block_on(phase)?;
        Ok(count(&self.ends.book(), start))
    }
}

impl Courier {
    /// Sends for so many seconds and waits for answers only; calls are not counted.
    pub(crate) fn load(&self, to: &Target, connections: u16, seconds: f64) -> anyhow::Result<()> {
        let ends = self.uncounted();
        ends.under_way.add_permits(Semaphore::MAX_PERMITS / 2);
        let to = to.clone();
        let load = async move {
            let mut sending = JoinSet::new();
            for line in connect(&to, connections, &ends).await? {
                sending.spawn(line.until(Instant::now() + Duration::from_secs_f64(seconds)));
            }
            while let Some(ended) = sending.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        };
        self.runtime.block_on(load)
    }

    /// A book of its own, with numbers that no other has: a repetition would be known by its number.
    fn uncounted(&self) -> Arc<Ends> {
        let ends = Ends::new();
        ends.book().first = self.books.fetch_add(1, Ordering::Relaxed) << 32;
        Arc::new(ends)
    }

    /// One request, which must be answered 2xx.
    pub(crate) fn first_answer(&self, to: &Target) -> anyhow::Result<()> {
        let ends = self.uncounted();
        self.runtime.block_on(async {
            let mut lines = connect(to, 1, &ends).await?;
            lines[0].send(Instant::now()).await
        })?;
        ensure!(ends.book().sent[0].accepted, "the first request was refused");
        Ok(())
    }
}

fn count(book: &Book, start: Instant) -> Flow {
    let accepted = book.sent.iter().filter(|sent| sent.accepted).count() as u64;
    let took = book.last_call.map_or(f64::INFINITY, |last| (last - start).as_secs_f64());
    let mut times = Histogram::<u64>::new(3).expect("three digits are allowed");
    for time in &book.times {
        times.record((time * 1e3) as u64).expect("it grows as needed");
    }
    let quantile = |share| times.value_at_quantile(share) as f64 / 1e3;
    Flow {
        accepted,
        refused: book.sent.len() as u64 - accepted,
        lost: book.sent.iter().filter(|sent| sent.accepted && sent.calls == 0).count() as u64,
        doubled: book.sent.iter().map(|sent| u64::from(sent.calls.saturating_sub(1))).sum(),
        per_second: book.times.len() as f64 / took,
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
    }
}

async fn phase(ends: Arc<Ends>, to: Target, connections: u16, seconds: f64, pace: Pace) -> anyhow::Result<Instant> {
    let lines = connect(&to, connections, &ends).await?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let mut sending = JoinSet::new();
    match pace {
        Pace::Saturated(under_way) => {
            ends.under_way.forget_permits(Semaphore::MAX_PERMITS);
            ends.under_way.add_permits(under_way);
            for line in lines {
                sending.spawn(line.until(end));
            }
        }
        Pace::Offered(rate) => {
            let (clock, times) = unbounded_channel();
            let count = (f64::from(rate) * seconds) as u32;
            std::thread::spawn(move || {
                for number in 0..count {
                    let intended = start + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
                    std::thread::sleep(intended.saturating_duration_since(Instant::now()));
                    if clock.send(intended).is_err() {
                        return;
                    }
                }
            });
            let times = Arc::new(AsyncMutex::new(times));
            for line in lines {
                sending.spawn(line.at(times.clone()));
            }
        }
    }
    while let Some(ended) = sending.join_next().await {
        ended??;
    }
    while !ends.is_complete() {
        if tokio::time::timeout(SILENCE, ends.arrived.notified()).await.is_err() {
            break;
        }
    }
    Ok(start)
}

async fn connect(to: &Target, connections: u16, ends: &Arc<Ends>) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(&to.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        lines.push(Line { stream, request: Request::new(to), ends: ends.clone() });
    }
    Ok(lines)
}

/// One connection of the sender.
struct Line {
    stream: TcpStream,
    request: Request,
    ends: Arc<Ends>,
}

impl Line {
    async fn until(mut self, end: Instant) -> anyhow::Result<()> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(permit) = tokio::time::timeout(left, self.ends.under_way.acquire()).await else { return Ok(()) };
            permit?.forget();
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            self.send(now).await?;
        }
    }

    async fn at(mut self, times: Arc<AsyncMutex<UnboundedReceiver<Instant>>>) -> anyhow::Result<()> {
        loop {
            let next = times.lock().await.recv().await;
            let Some(intended) = next else { return Ok(()) };
            self.send(intended).await?;
        }
    }

    async fn send(&mut self, intended: Instant) -> anyhow::Result<()> {
        let number = self.ends.sends(intended);
        self.stream.write_all(self.request.number(number)).await.context("sending")?;
        let status = load::answer(&mut self.stream, &mut [0; MESSAGE_BYTES_MAX]).await?;
        self.ends.told(number, (200..300).contains(&status));
        Ok(())
    }
}

/// A push whose number changes, and with it the signature.
struct Request {
    bytes: Vec<u8>,
    secret: Vec<u8>,
    body_at: usize,
    /// Where the number is: in the header, in the body.
    numbers_at: [usize; 2],
    signature_at: usize,
}

impl Request {
    fn new(to: &Target) -> Request {
        let number = "0".repeat(DIGITS);
        let body = guest::push(&number);
        let signature = hex::encode(mac(to.secret.as_bytes(), body.as_bytes()).finalize().into_bytes());
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: creel-bench\r\naccept: */*\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{SIGNATURE_HEADER}: {signature}\r\n{ID_HEADER}: {number}\r\n\r\n",
            to.path,
            to.address,
            body.len()
        );
        let body_at = head.len();
        let marked = body.find(std::str::from_utf8(MARK).unwrap_or_default()).unwrap_or(0);
        Request {
            secret: to.secret.clone().into_bytes(),
            numbers_at: [body_at - 4 - DIGITS, body_at + marked + MARK.len()],
            signature_at: head.find(&signature).unwrap_or(0),
            bytes: [head.as_bytes(), body.as_bytes()].concat(),
            body_at,
        }
    }

    fn number(&mut self, number: u64) -> &[u8] {
        for at in self.numbers_at {
            // A slice of the right length takes what is written into it.
            let _ = write!(&mut self.bytes[at..at + DIGITS], "{number:016x}");
        }
        let signature = mac(&self.secret, &self.bytes[self.body_at..]).finalize().into_bytes();
        let place = &mut self.bytes[self.signature_at..self.signature_at + 64];
        let _ = hex::encode_to_slice(signature, place);
        &self.bytes
    }
}

async fn receive(listener: TcpListener, ends: Arc<Ends>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let ends = ends.clone();
        // A connection that breaks shows as calls that are missing.
        connections.spawn(async move { drop(answer_calls(stream, &ends).await) });
    }
}

async fn answer_calls(mut stream: TcpStream, ends: &Ends) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the end");
        filled += read;
        let Some((body_at, length)) = parse(&buffer[..filled]) else { continue };
        if filled < length {
            continue;
        }
        ends.called(number_of(&buffer[body_at..length]), Instant::now());
        buffer.copy_within(length..filled, 0);
        filled -= length;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok").await?;
    }
}

/// Where the body begins and where it ends, once the head is there.
fn parse(bytes: &[u8]) -> Option<(usize, usize)> {
    let body_at = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let length = load::content_length(std::str::from_utf8(&bytes[..body_at]).ok()?);
    Some((body_at, body_at + length))
}

/// The number that a call's text carries.
fn number_of(body: &[u8]) -> Option<u64> {
    let at = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    u64::from_str_radix(std::str::from_utf8(body.get(at..at + DIGITS)?).ok()?, 16).ok()
}
