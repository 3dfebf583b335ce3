//! Events inside a reply: to `subscribe` what was missed, to `history` what was asked for.

use tidegate_core::Payload;

use crate::encode_base64;
use crate::flat::LoggedFlat;

/// An event inside a reply, whose channel and epoch the reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its offset.
    pub offset: u64,
    /// What was published. A text that is no JSON arrives as a JSON string.
    pub payload: Payload,
    /// Who published it.
    pub from: Option<String>,
    /// The publisher's idempotency key.
    pub key: Option<String>,
}

impl Logged {
    pub(crate) fn from_flat<D>(flat: LoggedFlat<D>, payload: impl Fn(D) -> Payload) -> Result<Self, String> {
        let payload = carried(flat.data, flat.data_base64, payload)?
            .ok_or_else(|| format!("the event with offset {} lacks `data`", flat.offset))?;
        Ok(Self { offset: flat.offset, payload, from: flat.from, key: flat.key })
    }

    pub(crate) fn to_flat<D>(&self, data: impl Fn(&Payload) -> Option<D>) -> LoggedFlat<D> {
        let held = data(&self.payload);
        LoggedFlat {
            offset: self.offset,
            data_base64: held.is_none().then(|| encode_base64(self.payload.bytes())),
            data: held,
            from: self.from.clone(),
            key: self.key.clone(),
        }
    }
}

/// What an event carries, in either of its two fields.
pub(crate) fn carried<D>(
    data: Option<D>,
    base64: Option<String>,
    payload: impl Fn(D) -> Payload,
) -> Result<Option<Payload>, String> {
    match (data, base64) {
        (Some(data), _) => Ok(Some(payload(data))),
        (None, Some(text)) => Ok(Some(Payload::new(crate::decode_base64(&text)?.into()))),
        (None, None) => Ok(None),
    }
}
