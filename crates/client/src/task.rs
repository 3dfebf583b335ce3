//! The one task of a client: carries commands, messages and time to the link and does what it says.
//!
//! It ends when the client is closed or dropped. It decides nothing itself.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tidegate_protocol::Codec;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::Reply;
use crate::link::{Command, Cut, Effect, Input, Link, Now};
use crate::news::{Piece, Shared};
use crate::socket::{self, Heard, Socket};
use crate::{News, State};

/// How long the server may take to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// Most commands taken before what they led to is written.
const BATCH: usize = 64;

type Dialing = Pin<Box<dyn Future<Output = Result<Box<Socket>, Cut>> + Send>>;

enum Road {
    None,
    Dialing(Dialing),
    Open(Box<Socket>),
}

struct Shell {
    url: Uri,
    link: Link<Reply>,
    road: Road,
    /// News that found the stream full: those of one message, and the few that commands and a cut
    /// add, since nothing is read and nobody dials before they are taken.
    waiting: VecDeque<Piece>,
    outlets: Outlets,
    codec: Codec,
}

/// Where the application hears what happens.
pub(crate) struct Outlets {
    /// None once nobody listens any more.
    pub(crate) news: Option<mpsc::Sender<Piece>>,
    pub(crate) states: watch::Sender<State>,
    pub(crate) shared: Arc<Shared>,
}

enum Turn {
    /// The application's side found that a channel is to be subscribed again.
    Look,
    /// The stream of news has room again, or nobody holds its other end.
    Room,
    Command(Command<Reply>),
    Dialed(Result<Box<Socket>, Cut>),
    Heard(Heard),
    Tick,
    End,
}

pub(crate) async fn run(
    url: Uri,
    codec: Codec,
    link: Link<Reply>,
    mut commands: mpsc::Receiver<Command<Reply>>,
    mut ending: oneshot::Receiver<()>,
    outlets: Outlets,
) {
    let shared = Arc::clone(&outlets.shared);
    let mut shell = Shell { url, link, road: Road::None, waiting: VecDeque::new(), outlets, codec };
    loop {
        let stalled = !shell.waiting.is_empty();
        let writable = !matches!(&shell.road, Road::Open(socket) if !socket.is_idle());
        let due = shell.link.due();
        let turn = tokio::select! {
            () = room(shell.outlets.news.as_ref()), if stalled => Turn::Room,
            () = shared.look.notified() => Turn::Look,
            turn = travel(&mut shell.road, !stalled) => turn,
            Some(command) = commands.recv(), if writable && shell.link.takes_commands() => Turn::Command(command),
            () = async { sleep_until(due.map_or_else(Instant::now, Into::into)).await }, if due.is_some() => Turn::Tick,
            _ = &mut ending => Turn::End, // told to, or the client was dropped
        };
        match turn {
            Turn::Room => shell.deliver().await,
            Turn::Look => shell.step(Input::Look).await,
            Turn::Command(command) => {
                shell.step(Input::Command(command)).await;
                // What is there already is written together.
                for _ in 1..BATCH {
                    if !shell.link.takes_commands() {
                        break;
                    }
                    match commands.try_recv() {
                        Ok(command) => shell.step(Input::Command(command)).await,
                        Err(_) => break,
                    }
                }
            }
            Turn::Dialed(Ok(socket)) => {
                shell.road = Road::Open(socket);
                shell.step(Input::Opened).await;
            }
            Turn::Dialed(Err(cut)) | Turn::Heard(Heard::Cut(cut)) => {
                shell.road = Road::None;
                shell.step(Input::Cut(cut)).await;
            }
            Turn::Heard(Heard::Message(message)) => shell.step(Input::Message(message)).await,
            Turn::Heard(Heard::Sign) => shell.step(Input::Heard).await,
            Turn::Tick => shell.step(Input::Tick).await,
            Turn::End => return shell.step(Input::Close).await,
        }
    }
}

async fn room(news: Option<&mpsc::Sender<Piece>>) {
    if let Some(news) = news {
        // Either way it is time to look; the permit is taken again by then.
        let _ = news.reserve().await;
    }
}

/// What the road brings.
async fn travel(road: &mut Road, reading: bool) -> Turn {
    match road {
        Road::None => pending().await,
        Road::Dialing(dialing) => Turn::Dialed(dialing.await),
        Road::Open(socket) => Turn::Heard(socket.next(reading).await),
    }
}

impl Shell {
    async fn step(&mut self, input: Input<Reply>) {
        let now = Now { at: Instant::now().into_std(), chance: rand::random() };
        let mut effects = Vec::new();
        let stalled = !self.waiting.is_empty();
        self.link.step(input, now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Dial => {
                    self.road = Road::Dialing(Box::pin(socket::dial(self.url.clone(), self.codec)))
                }
                Effect::Send(message) => {
                    if let Road::Open(socket) = &mut self.road {
                        socket.send(message);
                    }
                }
                Effect::Hang(code, reason) => {
                    if let Road::Open(socket) = std::mem::replace(&mut self.road, Road::None) {
                        // Out of time: the socket is dropped, which ends it as well.
                        let _ = timeout(GOODBYE, socket.close(code, reason)).await;
                    }
                }
                // Who no longer waits for an answer needs none.
                Effect::Answer(reply, answer) => drop(reply.send(answer)),
                Effect::News(news) => self.tell(Piece::News(news)),
                Effect::Note(note) => self.tell(Piece::Note(note)),
            }
        }
        if !stalled && !self.waiting.is_empty() {
            self.link.step(Input::Stalled(true), now, &mut Vec::new());
        }
    }

    /// Tells a piece of news, or lets it wait.
    fn tell(&mut self, piece: Piece) {
        if let Piece::News(News::State(state)) = &piece {
            tracing::debug!(?state, "client");
            self.outlets.states.send_replace(state.clone());
            if matches!(self.waiting.back(), Some(Piece::News(News::State(_)))) {
                self.waiting.pop_back();
            }
        }
        self.waiting.push_back(piece);
        self.flush();
    }

    /// Delivers what waits.
    async fn deliver(&mut self) {
        self.flush();
        if self.waiting.is_empty() {
            self.step(Input::Stalled(false)).await;
        }
    }

    fn flush(&mut self) {
        while let Some(piece) = self.waiting.pop_front() {
            let last = matches!(piece, Piece::News(News::State(State::Closed { .. })));
            let Some(sender) = &self.outlets.news else {
                // Nobody listens: what nobody missed need not be fetched again after the next cut.
                if let Piece::Note(note) = piece {
                    self.outlets.shared.followers.lock().take(note, Instant::now().into_std());
                }
                continue;
            };
            match sender.try_send(piece) {
                Ok(()) if !last => {}
                Err(TrySendError::Full(piece)) => return self.waiting.push_front(piece),
                // The stream ends with `Closed`, or nobody listens any more.
                Ok(()) | Err(TrySendError::Closed(_)) => self.outlets.news = None,
            }
        }
    }
}
