//! What the main process of a run and its workers tell each other: each message is its length and MessagePack.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::receiver::Heard;
use crate::scenario::Scenario;
use crate::series::Lately;

/// A list of as many channels as a run may have takes 9 MB. What claims to be longer is no message of ours.
const LONGEST: u32 = 64 << 20;

/// To a worker. All times are those of [`crate::clock::now`], which all processes of a machine share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Open the connections of the scenario's slice; the shared counters are in this file.
    Open(Box<Scenario>, PathBuf),
    /// Latencies count for what is due from this time on.
    MeasureFrom(u64),
    /// The first event is due at this time.
    Begin(u64),
    /// What is counted now belongs to this part of the series, and the next part begins at this time.
    Cut(usize, u64),
    /// Nothing more is published.
    Settle,
    /// The run is over, and so many events each channel had: judge, and report.
    Finish(Vec<u64>),
    /// The run has failed elsewhere.
    Stop,
}

/// From a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum News {
    /// What a receiver counted in one part of the series.
    Part(usize, Box<Lately>),
    /// Everything else, at the end.
    Heard(Box<Heard>),
    /// It cannot go on.
    Failed(String),
}

/// Writes a message whole.
///
/// # Errors
/// When the other process has ended.
pub fn write(out: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = rmp_serde::to_vec(message).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    out.write_all(&[&length.to_be_bytes()[..], &body].concat())
}

/// Reads the next message; `None` when the other process has closed its end between two.
///
/// # Errors
/// When it ended within one, or says what cannot be understood.
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut body = vec![0; length as usize];
    input.read_exact(&mut body)?;
    rmp_serde::from_slice(&body).map(Some).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Where all threads of a worker leave their news: its standard output. Who finds the pipe full waits until the main
/// process has read.
pub struct Outbox(Mutex<File>);

impl Outbox {
    /// The one of this process.
    ///
    /// # Errors
    /// When its standard output is closed.
    pub fn of_this_process() -> io::Result<Self> {
        Ok(Self(Mutex::new(File::from(io::stdout().as_fd().try_clone_to_owned()?))))
    }

    /// Sends one. A main process that has ended hears nothing; that its worker ends too is known from its orders.
    pub fn send(&self, news: &News) {
        let _ = write(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), news);
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox")
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::door::Doors;
    use crate::scenario::{Slice, Slow};

    #[test]
    fn what_is_written_is_read_back_message_by_message() {
        let scenario = Scenario {
            slice: Slice { index: 1, of: 3 },
            sources: vec![IpAddr::from([127, 0, 0, 2])],
            slow: Some(Slow { share: 0.1, bytes: 9 }),
            ramp_up: Some(12.5),
            ..Scenario::new("ws://h", 10, 4, Doors::Mixed, 128)
        };
        let mut lately = Lately { delivered: 3, missing: -1, ..Lately::default() };
        for nanoseconds in [0, 1_500, 1_501, 40_000_000, u64::MAX] {
            lately.latency.record(nanoseconds);
        }
        let mut pipe = Vec::new();
        write(&mut pipe, &Order::Open(Box::new(scenario.clone()), "/x".into())).unwrap();
        write(&mut pipe, &Order::Finish((0..999_999).collect())).unwrap();
        let mut pipe = &pipe[..];
        let Order::Open(read_back, file) = read(&mut pipe).unwrap().unwrap() else { panic!() };
        assert_eq!(format!("{read_back:?} {file:?}"), format!("{scenario:?} \"/x\""));
        let Order::Finish(published) = read(&mut pipe).unwrap().unwrap() else { panic!() };
        assert_eq!(published.len(), 999_999);
        assert!(read::<Order>(&mut pipe).unwrap().is_none());

        let mut pipe = Vec::new();
        write(&mut pipe, &News::Part(7, Box::new(lately.clone()))).unwrap();
        let News::Part(cut, part) = read(&mut &pipe[..]).unwrap().unwrap() else { panic!() };
        assert_eq!((cut, part.delivered, part.missing), (7, 3, -1));
        assert_eq!(part.latency.curve(), lately.latency.curve());
        assert_eq!(part.latency.percentiles(), lately.latency.percentiles());
    }

    #[test]
    fn half_a_message_and_an_endless_one_are_errors() {
        let mut pipe = Vec::new();
        write(&mut pipe, &Order::Settle).unwrap();
        assert!(read::<Order>(&mut &pipe[..pipe.len() - 1]).is_err());
        assert!(read::<Order>(&mut &[0xff; 9][..]).is_err());
    }
}
