//! The codec by which plain types travel as protobuf.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::frame::Malformed;
use crate::proto::{config, identity, seeing};
use crate::{
    Certified, ControlFrame, Counts, Join, Kept, LoggedOut, NodeFrame, Rejoin, Renew, Speak,
    Spoken, Told,
};

/// A plain type that has a message.
pub(crate) trait Plain: Sized + Send + 'static {
    /// The message.
    type Message: Message + Default;

    fn write(self) -> Self::Message;

    fn read(message: Self::Message) -> Result<Self, Malformed>;
}

macro_rules! whole {
    ($($plain:ty => $message:ty),+ $(,)?) => {
        $(impl Plain for $plain {
            type Message = $message;

            fn write(self) -> Self::Message {
                self.into()
            }

            fn read(message: Self::Message) -> Result<Self, Malformed> {
                Ok(message.into())
            }
        })+
    };
}

whole! {
    Join => identity::JoinRequest,
    Renew => identity::RenewRequest,
    Rejoin => identity::RejoinRequest,
    Certified => identity::Certified,
    Speak => identity::SpeakRequest,
    Spoken => identity::Spoken,
    Kept => seeing::Kept,
}

impl Plain for NodeFrame {
    type Message = config::NodeFrame;

    fn write(self) -> Self::Message {
        self.into()
    }

    fn read(message: Self::Message) -> Result<Self, Malformed> {
        message.try_into()
    }
}

impl Plain for ControlFrame {
    type Message = config::ControlFrame;

    fn write(self) -> Self::Message {
        self.into()
    }

    fn read(message: Self::Message) -> Result<Self, Malformed> {
        message.try_into()
    }
}

impl Plain for LoggedOut {
    type Message = seeing::LoggedOut;

    fn write(self) -> Self::Message {
        self.into()
    }

    fn read(message: Self::Message) -> Result<Self, Malformed> {
        message.try_into()
    }
}

impl Plain for Told {
    type Message = seeing::Told;

    fn write(self) -> Self::Message {
        self.into()
    }

    fn read(message: Self::Message) -> Result<Self, Malformed> {
        message.try_into()
    }
}

impl Plain for Counts {
    type Message = seeing::Counts;

    fn write(self) -> Self::Message {
        self.into()
    }

    fn read(message: Self::Message) -> Result<Self, Malformed> {
        message.try_into()
    }
}

/// Writes `T`, reads `U`.
#[derive(Debug)]
pub(crate) struct PlainCodec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for PlainCodec<T, U> {
    fn default() -> Self {
        PlainCodec(PhantomData)
    }
}

impl<T: Plain, U: Plain> Codec for PlainCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = PlainEncoder<T>;
    type Decoder = PlainDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        PlainEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        PlainDecoder(PhantomData)
    }
}

/// Writes `T`.
#[derive(Debug)]
pub(crate) struct PlainEncoder<T>(PhantomData<fn(T)>);

impl<T: Plain> Encoder for PlainEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let written = item.write().encode(into);
        written.map_err(|_| Status::internal("a frame did not fit its buffer"))
    }
}

/// Reads `U`.
#[derive(Debug)]
pub(crate) struct PlainDecoder<U>(PhantomData<fn() -> U>);

impl<U: Plain> Decoder for PlainDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = U::Message::decode(from);
        let message = message.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let read = U::read(message).map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Some(read))
    }
}
