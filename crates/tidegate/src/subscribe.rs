//! `tidegate subscribe`: prints the events of channels, one a line, and keeps coming back.
//!
//! Events go to standard output and nothing else does; what happens to the connection is said on
//! standard error.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use tidegate_client::{
    Client, Codec, Error, Event, Incoming, News, PayloadKind, PositionError, Start, State,
};
use tidegate_protocol::encode_base64;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::print;

/// How long to wait after a refusal that may end, unless the server says.
const AGAIN: Duration = Duration::from_secs(1);

/// What to print and from where.
#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The channels, such as chat:1
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<String>,
    /// The native door of a node or load balancer
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    url: String,
    /// A JSON Web Token
    #[arg(long)]
    token: Option<String>,
    /// How frames are written
    #[arg(long, value_enum, default_value_t = Frames::Json)]
    codec: Frames,
    /// Begin behind this position, <epoch>-<offset>; with several channels a comma list in their order, `-` for none
    #[arg(long, value_name = "POSITION", value_delimiter = ',', value_parser = start, conflicts_with = "last")]
    #[arg(allow_hyphen_values = true)]
    since: Vec<Start>,
    /// Begin with so many of the latest events of each channel
    #[arg(long, value_name = "N")]
    last: Option<u32>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Frames {
    Json,
    Msgpack,
}

/// Runs `tidegate subscribe`.
pub(crate) fn subscribe(args: SubscribeArgs) -> Result<ExitCode, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Exit::failed)?;
    runtime.block_on(run(args))
}

async fn run(mut args: SubscribeArgs) -> Result<ExitCode, Exit> {
    if !args.since.is_empty() && args.since.len() != args.channels.len() {
        let (positions, channels) = (args.since.len(), args.channels.len());
        let message =
            format!("--since has {positions} positions for {channels} channels; `-` stands for none");
        return Err(Exit::configuration(anyhow!(message)));
    }
    let start = args.last.map_or(Start::Now, Start::Last);
    let since = std::mem::take(&mut args.since).into_iter().chain(std::iter::repeat(start));
    let channels: BTreeMap<String, Start> = args.channels.drain(..).zip(since).collect();
    let codec = match args.codec {
        Frames::Json => Codec::Json,
        Frames::Msgpack => Codec::MessagePack,
    };
    let mut builder = Client::builder(args.url.as_str()).codec(codec);
    if let Some(token) = args.token.take() {
        builder = builder.token(token);
    }
    let (client, mut incoming) = builder.connect().map_err(Exit::configuration)?;
    let listening = |kind| signal(kind).context("cannot listen for signals").map_err(Exit::failed);
    let (mut interrupt, mut terminate) =
        (listening(SignalKind::interrupt())?, listening(SignalKind::terminate())?);
    let done = tokio::select! {
        done = listen(&client, &mut incoming, &channels, &args) => done,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    for (channel, position) in channels.keys().filter_map(|c| Some((c, incoming.position(c)?))) {
        print::note(&format!("{channel} is at {position}"));
    }
    let (number, goodbye) = tokio::select! {
        () = client.close() => return done.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => (2, "SIGINT"),
        _ = terminate.recv() => (15, "SIGTERM"),
    };
    print::note(&format!("second signal ({goodbye}): ending at once"));
    Ok(ExitCode::from(128 + number))
}

/// Prints events until there have been enough, or none can come any more.
async fn listen(
    client: &Client,
    incoming: &mut Incoming,
    wanted: &BTreeMap<String, Start>,
    args: &SubscribeArgs,
) -> Result<(), Exit> {
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut channels = wanted.len();
    let mut asking = std::pin::pin!(ask(client, wanted));
    let mut asked = false;
    while left > 0 {
        let news = tokio::select! {
            done = &mut asking, if !asked => {
                done?;
                asked = true;
                continue;
            }
            news = incoming.next() => news,
        };
        match news {
            Some(News::Event(event)) => {
                if print::try_line(&line(&event)).is_err() {
                    return Ok(()); // nobody reads any more
                }
                incoming.handled();
                left -= 1;
            }
            Some(News::Gap { channel, reason }) => {
                print::note(&format!("{channel}: events are missing: {reason}"));
            }
            Some(News::State(state)) => say(&args.url, &state)?,
            Some(News::Ended { channel, error }) => {
                print::note(&format!("{channel}: {error}"));
                channels -= 1;
                if channels == 0 {
                    return Err(Exit::failed(anyhow!("no subscription is left")));
                }
            }
            Some(News::Resubscribed(channel)) => print::note(&format!("subscribed again to {channel}")),
            Some(_) => {} // news of a newer client: nothing that this command shows
            None => return Err(Exit::failed(anyhow!("the connection is closed"))),
        }
    }
    Ok(())
}

/// Subscribes to all channels, again while that can help.
async fn ask(client: &Client, channels: &BTreeMap<String, Start>) -> Result<(), Exit> {
    for (channel, start) in channels {
        while let Err(error) = client.subscribe_from(channel, *start).await {
            let wait = match &error {
                Error::Channel(_) => return Err(Exit::configuration(error)),
                Error::Refused { retry: true, retry_after, .. } => retry_after.unwrap_or(AGAIN),
                error if error.retry() => Duration::ZERO, // it waits for a connection by itself
                // Said by the state, in better words.
                Error::Closed { .. } => return std::future::pending().await,
                _ => return Err(Exit::failed(anyhow!("cannot subscribe to {channel}: {error}"))),
            };
            print::note(&format!("{channel}: {error}; asking again"));
            tokio::time::sleep(wait).await;
        }
        print::note(&format!("subscribed to {channel}"));
    }
    Ok(())
}

/// One of the positions in `--since`.
fn start(text: &str) -> Result<Start, PositionError> {
    if text == "-" { Ok(Start::Now) } else { text.parse().map(Start::Since) }
}

fn say(url: &str, state: &State) -> Result<(), Exit> {
    match state {
        State::Connected { session, user: None } => {
            print::note(&format!("connected to {url} (session {session})"));
        }
        State::Connected { session, user: Some(user) } => {
            print::note(&format!("connected to {url} as {user} (session {session})"));
        }
        State::Waiting { until, reason, .. } => {
            let seconds = until.saturating_duration_since(Instant::now()).as_secs_f64();
            print::note(&format!("not connected to {url}: {reason}; trying again in {seconds:.1} s"));
        }
        State::Closed { code, reason } => {
            return Err(Exit::failed(anyhow!("{url} sent us away: {reason} ({code})")));
        }
        _ => {}
    }
    Ok(())
}

fn line(event: &Event) -> String {
    let (channel, payload) = (&event.channel, &event.payload);
    match payload.text() {
        // Line feeds stand between JSON's tokens only, never inside; one event stays one line.
        Some(text) if payload.kind() == PayloadKind::Json => {
            format!("{channel}  {}", text.replace(['\r', '\n'], " "))
        }
        Some(text) => format!("{channel}  {}", serde_json::Value::from(text)),
        None => format!("{channel}  base64:{}", encode_base64(payload.bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_client::Payload;

    #[test]
    fn an_event_is_one_line() {
        for (bytes, printed) in [
            (&b"{\"a\":\r\n1}"[..], "chat:1  {\"a\":  1}"),
            (b"\"a\\nb\"", "chat:1  \"a\\nb\""),
            (b"a\nb", "chat:1  \"a\\nb\""),
            (b"\xff", "chat:1  base64:/w=="),
        ] {
            let payload = Payload::new(bytes::Bytes::from_static(bytes));
            let event = Event { channel: "chat:1".into(), offset: None, payload, from: None, key: None };
            assert_eq!(line(&event), printed);
        }
    }
}
