//! Doors for fuzzers: frames to the bytes that travel, and back. No program of ours is built with them.

use prost::Message as _;

use crate::codec::Plain;
use crate::{ControlFrame, Counts, LoggedOut, NodeFrame, Told};

/// What a side of a stream says.
pub trait Frame: Sized {
    /// The bytes that travel.
    fn into_bytes(self) -> Vec<u8>;

    /// The frame that `bytes` are.
    ///
    /// # Errors
    /// In words, where they are none.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String>;
}

macro_rules! frames {
    ($($frame:ty),+) => {
        $(impl Frame for $frame {
            fn into_bytes(self) -> Vec<u8> {
                self.write().encode_to_vec()
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
                let message = <$frame as Plain>::Message::decode(bytes);
                let message = message.map_err(|error| error.to_string())?;
                Self::read(message).map_err(|error| error.to_string())
            }
        })+
    };
}

frames!(NodeFrame, ControlFrame, Told, Counts, LoggedOut);
