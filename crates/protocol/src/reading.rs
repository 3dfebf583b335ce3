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
use tidegate_core::RequestId;

use crate::Malformed;
use crate::flat::ClientFlat;

/// Characters of a value that a message repeats at most.
const SHOWN: usize = 64;

/// What was read of a request so far.
pub(crate) struct Reading<D> {
    flat: ClientFlat<D>,
    /// Bits of the fields that were there.
    seen: u8,
    /// Two ids: neither is the request's.
    ambiguous: bool,
    /// The first thing that is wrong.
    fault: Option<String>,
}

/// Fields by number; what is not here is ignored.
const FIELDS: [&str; 7] = ["type", "id", "token", "client", "channel", "data", "data_base64"];

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
        match (name, map.next_value()?) {
            ("id", Given::Number(id)) => self.flat.id = Some(id),
            ("type", Given::Text(kind)) => self.flat.kind = kind,
            ("token", Given::Text(text)) => self.flat.token = Some(text),
            ("client", Given::Text(text)) => self.flat.client = Some(text),
            ("channel", Given::Text(text)) => self.flat.channel = Some(text),
            ("data_base64", Given::Text(text)) => self.flat.data_base64 = Some(text),
            ("type", other) => self.wrong(format!("`type` must be a string, not {other}")),
            (_, Given::Nil) => {} // as if it were not there
            ("id", other) => {
                self.wrong(format!("`id` must be an integer from 1 to 9007199254740991, not {other}"));
            }
            (name, other) => self.wrong(format!("`{name}` must be a string, not {other}")),
        }
        Ok(())
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
    Extension,
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
            Self::Map => f.write_str("a map"),
            Self::Extension => f.write_str("an extension"),
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

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
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Map)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<Given, D::Error> {
        IgnoredAny::deserialize(extension).map(|_| Given::Extension)
    }
}
