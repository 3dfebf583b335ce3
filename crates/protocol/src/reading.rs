//! One request as it is read, field by field, so that whatever is wrong with it can be named.
//!
//! A derived decoder ends at the first wrong field and forgets the rest, the id too; a client then
//! waits for a reply that never names its request. Here a wrong field is a note, and reading goes
//! on; only what is no map at all, or ends early, stops it. Nothing is allocated by a declared length.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use tidegate_core::{Position, RequestId};

use crate::Malformed;
use crate::flat::{ClientFlat, Since};

/// Characters of a value that a message repeats at most.
const SHOWN: usize = 64;
/// The largest offset: the largest integer that JavaScript, and Lua in Redis, count exactly.
const MAX_OFFSET: u64 = (1 << 53) - 1;

/// What was read of a request so far.
pub(crate) struct Reading<D> {
    flat: ClientFlat<D>,
    /// Bits of the fields that were there.
    seen: u16,
    /// Two ids: neither is the request's.
    ambiguous: bool,
    /// The first thing that is wrong.
    fault: Option<String>,
}

/// Fields by number; what is not here is ignored.
const FIELDS: [&str; 11] =
    ["type", "id", "token", "client", "channel", "data", "data_base64", "since", "last", "limit", "key"];

impl<'de, D: Deserialize<'de>> Reading<D> {
    /// Reads one map. `form` says what a request is in this codec.
    pub(crate) fn read(deserializer: impl Deserializer<'de>, form: &str) -> (Self, Option<Malformed>) {
        let flat = ClientFlat::new("");
        let mut reading = Self { flat, seen: 0, ambiguous: false, fault: None };
        let read = FieldsOf(&mut reading, PhantomData).deserialize(deserializer);
        let broken = read.err().map(|error| reading.broken(&error, form));
        (reading, broken)
    }

    /// The refusal of what is no whole map.
    pub(crate) fn broken(&self, error: &impl fmt::Display, form: &str) -> Malformed {
        Malformed { id: self.id(), ..Malformed::bad(format!("{form}: {error}")) }
    }

    /// The fields, if none is wrong by itself.
    pub(crate) fn finish(self) -> Result<ClientFlat<D>, Malformed> {
        let id = self.id();
        let fault = match self.fault {
            None if self.seen & 1 == 0 => Some("a request needs a `type`".to_owned()),
            fault => fault,
        };
        match fault {
            None => Ok(self.flat),
            Some(message) => Err(Malformed { id, ..Malformed::bad(message) }),
        }
    }

    fn id(&self) -> Option<RequestId> {
        self.flat.id.filter(|_| !self.ambiguous).and_then(|id| RequestId::new(id).ok())
    }

    fn wrong(&mut self, message: String) {
        self.fault.get_or_insert(message);
    }

    fn field<A: MapAccess<'de>>(&mut self, field: usize, map: &mut A) -> Result<(), A::Error> {
        let name = FIELDS[field];
        if self.seen & (1 << field) != 0 {
            // Two readers could take either.
            self.ambiguous |= name == "id";
            self.wrong(format!("`{name}` is there twice"));
            return map.next_value::<IgnoredAny>().map(drop);
        }
        self.seen |= 1 << field;
        if name == "data" {
            self.flat.data = Some(map.next_value()?);
            return Ok(());
        }
        let given =
            if name == "since" { map.next_value_seed(GivenVisitor::Fields)? } else { map.next_value()? };
        match (name, given) {
            ("id", Given::Number(id)) => self.flat.id = Some(id),
            ("type", Given::Text(kind)) => self.flat.kind = kind,
            ("token", Given::Text(text)) => self.flat.token = Some(text),
            ("client", Given::Text(text)) => self.flat.client = Some(text),
            ("channel", Given::Text(text)) => self.flat.channel = Some(text),
            ("data_base64", Given::Text(text)) => self.flat.data_base64 = Some(text),
            ("type", other) => self.wrong(format!("`type` must be a string, not {other}")),
            ("key", Given::Text(text)) => self.flat.key = Some(text),
            (_, Given::Nil) => {} // as if it were not there
            ("since", given) => match since(given) {
                Ok(position) => self.flat.since = Some(Since(position)),
                Err(message) => self.wrong(message),
            },
            ("last" | "limit", Given::Number(number)) if number <= u32::MAX.into() => {
                let field = if name == "last" { &mut self.flat.last } else { &mut self.flat.limit };
                *field = u32::try_from(number).ok();
            }
            ("last" | "limit", other) => {
                self.wrong(format!("`{name}` must be an integer from 0 to {}, not {other}", u32::MAX));
            }
            ("id", other) => {
                self.wrong(format!("`id` must be an integer from 1 to 9007199254740991, not {other}"));
            }
            (name, other) => self.wrong(format!("`{name}` must be a string, not {other}")),
        }
        Ok(())
    }
}

/// The position that stands in `since`.
fn since(given: Given) -> Result<Position, String> {
    let (epoch, offset) = match given {
        Given::Position(fields) => *fields,
        other => return Err(format!("`since` must be a map with `epoch` and `offset`, not {other}")),
    };
    let epoch = match epoch {
        Given::Text(text) => text.parse().map_err(|_| Given::Text(text)),
        other => Err(other),
    };
    match (epoch, offset) {
        (Ok(epoch), Given::Number(offset)) if offset <= MAX_OFFSET => Ok(Position { epoch, offset }),
        (Err(Given::Nil), _) => Err("`since` needs an `epoch`".into()),
        (Err(other), _) => Err(format!("`since.epoch` must be a string of 19 digits, not {other}")),
        (Ok(_), Given::Nil) => Err("`since` needs an `offset`".into()),
        (Ok(_), other) => {
            Err(format!("`since.offset` must be an integer from 0 to {MAX_OFFSET}, not {other}"))
        }
    }
}

/// Fills a reading from a map. Positional forms (arrays) are no requests: their meaning would
/// change with each new field.
struct FieldsOf<'a, 'de, D>(&'a mut Reading<D>, PhantomData<&'de ()>);

impl<'de, D: Deserialize<'de>> DeserializeSeed<'de> for FieldsOf<'_, 'de, D> {
    type Value = ();
    fn deserialize<T: Deserializer<'de>>(self, deserializer: T) -> Result<(), T::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, D: Deserialize<'de>> Visitor<'de> for FieldsOf<'_, 'de, D> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with `type` and `id`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Given>()? {
            let known = FIELDS.iter().position(|field| matches!(&name, Given::Text(name) if name == field));
            match known {
                Some(field) => self.0.field(field, &mut map)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Any value, as far as a request can use it or a message can show it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given {
    Text(String),
    Binary(Vec<u8>),
    Number(u64),
    Negative(i64),
    Float(f64),
    Bool(bool),
    Nil,
    List,
    Map,
    /// A map whose `epoch` and `offset` were looked at; nil where there is none.
    Position(Box<(Given, Given)>),
    Extension,
    Twice,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{:?}", text.chars().take(SHOWN).collect::<String>()),
            Self::Binary(bytes) => write!(f, "{} bytes of binary", bytes.len()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Negative(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Nil => f.write_str("null"),
            Self::List => f.write_str("a list"),
            Self::Map | Self::Position(_) => f.write_str("a map"),
            Self::Extension => f.write_str("an extension"),
            Self::Twice => f.write_str("two of them"),
        }
    }
}

impl Given {
    /// Two readers could take either of two values: then it is neither.
    fn unless(self, former: &Self) -> Self {
        if *former == Self::Nil { self } else { Self::Twice }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor::Value)
    }
}

/// How closely a map is looked at.
enum GivenVisitor {
    /// It is one.
    Value,
    /// It may be a position.
    Fields,
}

impl<'de> DeserializeSeed<'de> for GivenVisitor {
    type Value = Given;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Given, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_owned()))
    }
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Given, E> {
        Ok(Given::Binary(bytes.to_vec()))
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Given, E> {
        Ok(Given::Number(number))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Given, E> {
        Ok(u64::try_from(number).map_or(Given::Negative(number), Given::Number))
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<Given, E> {
        Ok(Given::Float(number))
    }
    fn visit_bool<E: Error>(self, truth: bool) -> Result<Given, E> {
        Ok(Given::Bool(truth))
    }
    fn visit_unit<E: Error>(self) -> Result<Given, E> {
        Ok(Given::Nil)
    }
    fn visit_none<E: Error>(self) -> Result<Given, E> {
        Ok(Given::Nil)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::List)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        if matches!(self, Self::Value) {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Given::Map);
        }
        let (mut epoch, mut offset) = (Given::Nil, Given::Nil);
        while let Some(name) = map.next_key::<Given>()? {
            match name {
                Given::Text(name) if name == "epoch" => epoch = map.next_value::<Given>()?.unless(&epoch),
                Given::Text(name) if name == "offset" => offset = map.next_value::<Given>()?.unless(&offset),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Given::Position(Box::new((epoch, offset))))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<Given, D::Error> {
        IgnoredAny::deserialize(extension).map(|_| Given::Extension)
    }
}
