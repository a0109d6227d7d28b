//! The fleet: agents that open a socket, read frames, answer pings, and come back when the server is gone.
//!
//! A client of its own, because ten thousand of a library's would need more memory and time than the server that is
//! measured. What they see is noted on the [`Board`]. Start with [`Fleet::set_out`].

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use switchhook::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::PUSH_DELAY;
use crate::figures::Durations;

/// Pause before an agent tries again: the SDK's, which is random between these.
const AGAIN_MS: Range<u64> = 800..1_000;

/// What somebody was told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) worker: usize,
    /// When the request that causes it was to be sent, however late it was.
    pub(crate) intended: Instant,
}

/// Moments in nanoseconds since the board was made; 0 for never.
pub(crate) struct Board {
    pub(crate) clock: Clock,
    made: Instant,
    told: Vec<OnceLock<Told>>,
    answered: Vec<AtomicU64>,
    arrived: Vec<AtomicU64>,
    pub(crate) open: AtomicUsize,
    last_opened: AtomicU64,
    /// Agents below this number do not read any more.
    stalled: watch::Sender<usize>,
}

impl Board {
    /// For so many events.
    pub(crate) fn new(clock: Clock, events: usize) -> Self {
        let moments = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Self {
            made: clock.instant(),
            clock,
            told: (0..events).map(|_| OnceLock::new()).collect(),
            answered: moments(),
            arrived: moments(),
            open: AtomicUsize::new(0),
            last_opened: AtomicU64::new(0),
            stalled: watch::Sender::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_nanos()).expect("a short run").max(1)
    }

    pub(crate) fn tell(&self, event: usize, told: Told) {
        self.told[event].set(told).expect("each event is told once");
    }

    pub(crate) fn answered(&self, event: usize) {
        self.answered[event].store(self.now(), Ordering::Release);
    }

    fn moment(&self, nanoseconds: &AtomicU64) -> Option<Instant> {
        let nanoseconds = nanoseconds.load(Ordering::Acquire);
        (nanoseconds > 0).then(|| self.made + Duration::from_nanos(nanoseconds))
    }

    fn arrived(&self, event: usize) {
        let again = self.arrived[event].swap(self.now(), Ordering::AcqRel);
        assert_eq!(again, 0, "event {event} came twice");
    }

    fn opened(&self) {
        self.last_opened.store(self.now(), Ordering::Release);
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn last_opened(&self) -> Instant {
        self.made + Duration::from_nanos(self.last_opened.load(Ordering::Acquire))
    }

    /// The first so many agents stop reading.
    pub(crate) fn stall(&self, agents: usize) {
        self.stalled.send_replace(agents);
    }

    /// Waits until exactly so many sockets are open.
    pub(crate) async fn until_open(&self, sockets: usize, patience: Duration) {
        let began = self.clock.instant();
        while self.open.load(Ordering::Acquire) != sockets {
            let open = self.open.load(Ordering::Acquire);
            assert!(began.elapsed() < patience, "{open} sockets are open instead of {sockets}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Of the events that are `wanted`, all of which must have come.
    pub(crate) fn latencies(&self, events: Range<usize>, wanted: impl Fn(Told) -> bool) -> Latencies {
        let (mut to_answer, mut to_frame) = (Vec::new(), Vec::new());
        for event in events {
            let told = *self.told[event].get().expect("it was told");
            if !wanted(told) {
                continue;
            }
            let answered = self.moment(&self.answered[event]).expect("every request was answered");
            let arrived = self.moment(&self.arrived[event]).unwrap_or_else(|| panic!("event {event} did not arrive"));
            to_answer.push(answered.duration_since(told.intended));
            // Nothing is clamped: a frame that comes before its time would be a mistake of the server or of this program.
            let early = || panic!("event {event} came before its delay was over");
            to_frame.push(arrived.duration_since(told.intended).checked_sub(PUSH_DELAY).unwrap_or_else(early));
        }
        Latencies { to_answer: Durations::of(to_answer), to_frame: Durations::of(to_frame) }
    }
}

/// From the moment at which requests were to be sent.
pub(crate) struct Latencies {
    /// To the answer.
    pub(crate) to_answer: Durations,
    /// To the frame that the agent read, without the intended delay.
    pub(crate) to_frame: Durations,
}

/// All agents; they leave when this is dropped.
pub(crate) struct Fleet {
    _agents: JoinSet<()>,
}

impl Fleet {
    /// One agent for each target, a path with its query. All try at once.
    pub(crate) fn set_out(address: SocketAddr, targets: Vec<String>, board: &Arc<Board>) -> Self {
        let mut agents = JoinSet::new();
        for (number, target) in targets.into_iter().enumerate() {
            agents.spawn(agent(address, target, number, Arc::clone(board)));
        }
        Self { _agents: agents }
    }
}

async fn agent(address: SocketAddr, target: String, number: usize, board: Arc<Board>) {
    let span = AGAIN_MS.end - AGAIN_MS.start;
    let again = Duration::from_millis(AGAIN_MS.start + (number as u64).wrapping_mul(2_654_435_761) % span);
    loop {
        if let Some(socket) = Socket::open(address, &target).await {
            socket.listen(number, &board).await;
        }
        tokio::time::sleep(again).await;
    }
}

/// An open socket and what was read of the next frames.
struct Socket {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Socket {
    async fn open(address: SocketAddr, target: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        let mut socket = Self { stream, read: Vec::with_capacity(1_024) };
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.stream.write_all(head.as_bytes()).await.ok()?;
        loop {
            if let Some(end) = socket.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let accepted = socket.read.starts_with(b"HTTP/1.1 101 ");
                socket.read.drain(..end + 4);
                return accepted.then_some(socket);
            }
            if socket.stream.read_buf(&mut socket.read).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Reads frames until the server is gone. A socket counts as open from its first frame on.
    async fn listen(mut self, number: usize, board: &Board) {
        let mut stalled = board.stalled.subscribe();
        let mut is_open = false;
        loop {
            while let Some((opcode, payload)) = self.next_frame() {
                match opcode {
                    1 if !is_open => {
                        is_open = true;
                        board.opened();
                    }
                    1 => {
                        if let Some(event) = event_of(&payload) {
                            board.arrived(event);
                        }
                    }
                    // A ping, answered with an empty masked pong, as all pings here are empty.
                    9 => _ = self.stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await,
                    _ => {}
                }
            }
            tokio::select! {
                read = self.stream.read_buf(&mut self.read) => match read {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                },
                _ = stalled.changed() => {
                    if number < *stalled.borrow() {
                        // The socket stays open and nobody reads it.
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
        if is_open {
            board.open.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Opcode and payload of the next whole frame; servers do not mask.
    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second, rest @ ..] = self.read.as_slice() else { return None };
        let (length, head) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), 4),
            127 => panic!("no frame is that long"),
            length => (usize::from(length), 2),
        };
        let opcode = first & 0x0f;
        let payload = self.read.get(head..head + length)?.to_vec();
        self.read.drain(..head + length);
        Some((opcode, payload))
    }
}

/// The number after `"n":`, with whatever escapes the quotes have.
fn event_of(payload: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(payload).expect("frames are text");
    let rest = text.split_once(r#"n\":"#).or_else(|| text.split_once(r#""n":"#))?.1;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}
