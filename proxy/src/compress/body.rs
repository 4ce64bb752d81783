//! A backend's body, compressed as it comes: what came is passed on before the backend is waited for.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http_body::Frame;
use model::traffic::Coding;
use policy::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::OF_BYTES;
use crate::body::BodyError;
use crate::reply::Stream;
use crate::steady;

// What each coding is asked for: speed, and little memory for an answer.
const GZIP_LEVEL: u32 = 5;
const BROTLI_LEVEL: u32 = 4;
const BROTLI_WINDOW: u32 = 18;
const ZSTD_LEVEL: i32 = 3;
const ZSTD_WINDOW: u32 = 17;

/// What the brotli encoder gathers before it writes, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// A backend's body on its way through an encoder.
pub(crate) struct Compressed {
    pub(crate) stream: Box<Stream>,
    /// `None` once it has ended.
    encoder: Option<Encoder>,
    /// Something that came may not have been passed on yet.
    is_holding: bool,
    /// What comes behind the last bytes.
    trailers: Option<HeaderMap>,
    bytes: u64,
    /// Its place among the encoders of the process.
    _permit: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Compressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressed").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Compressed {
    /// The body as it was where all `encoders` are taken, or there is no memory for one.
    pub(crate) fn new(
        coding: Coding,
        stream: Box<Stream>,
        encoders: &Arc<Semaphore>,
    ) -> Result<Self, Box<Stream>> {
        let Ok(permit) = Arc::clone(encoders).try_acquire_owned() else { return Err(stream) };
        match Encoder::new(coding) {
            Ok(encoder) => Ok(Compressed {
                stream,
                encoder: Some(encoder),
                is_holding: false,
                trailers: None,
                bytes: 0,
                _permit: permit,
            }),
            Err(_) => Err(stream),
        }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(self.trailers.take().map(|last| Ok(Frame::trailers(last))));
            };
            let made = match self.stream.poll(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.is_holding = true;
                        encoder.write(&data)
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok().map(without_digests);
                        self.finish()
                    }
                },
                Poll::Ready(None) => self.finish(),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Pending if self.is_holding => {
                    self.is_holding = false;
                    encoder.flush()
                }
                Poll::Pending => return Poll::Pending,
            };
            match made {
                Ok(made) if made.is_empty() => {}
                Ok(made) => {
                    steady::gave();
                    self.bytes += made.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(made))));
                }
                Err(error) => {
                    self.stream.record.reason = Reason::Overloaded;
                    self.stream.record.detail = Some(format!("compressing it: {error}").into());
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        self.encoder.take().map_or(Ok(Bytes::new()), Encoder::finish)
    }
}

impl Drop for Compressed {
    fn drop(&mut self) {
        // What the caller was sent is what counts as sent.
        self.stream.record.bytes_out = self.bytes;
    }
}

/// Trailers without what tells of the bytes of before.
fn without_digests(mut trailers: HeaderMap) -> HeaderMap {
    OF_BYTES.iter().for_each(|name| drop(trailers.remove(name)));
    trailers
}

/// Takes bytes, and gives fewer.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        let out = Vec::new();
        Ok(match coding {
            Coding::Gzip => {
                Encoder::Gzip(GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL)))
            }
            Coding::Br => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                out,
                BROTLI_BUFFER,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            ))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    /// What is ready once this was taken, too.
    fn write(&mut self, data: &[u8]) -> io::Result<Bytes> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(data)?,
            Encoder::Brotli(encoder) => encoder.write_all(data)?,
            Encoder::Zstd(encoder) => encoder.write_all(data)?,
        }
        Ok(self.take())
    }

    /// All of what was taken, so that it can be read without anything that follows.
    fn flush(&mut self) -> io::Result<Bytes> {
        match self {
            Encoder::Gzip(encoder) => encoder.flush()?,
            Encoder::Brotli(encoder) => encoder.flush()?,
            Encoder::Zstd(encoder) => encoder.flush()?,
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        let out = match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        };
        Bytes::from(std::mem::take(out))
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Brotli(encoder) => encoder.into_inner(),
            Encoder::Zstd(encoder) => encoder.finish()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// What can be read of a body that may be cut anywhere.
    fn decode(coding: Coding, data: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut source: Box<dyn io::Read + '_> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(data)),
            Coding::Br => Box::new(brotli::Decompressor::new(data, BROTLI_BUFFER)),
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(data).unwrap()),
        };
        let mut piece = [0; 512];
        // Its end is an error where it is cut.
        while let Ok(count @ 1..) = source.read(&mut piece) {
            text.extend_from_slice(&piece[..count]);
        }
        text
    }

    fn pieces() -> Vec<String> {
        (0..300).map(|index| format!("{{\"line\":{index},\"of\":\"a page\"}}\n")).collect()
    }

    #[test]
    fn what_was_flushed_can_be_read_before_the_rest_comes() {
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding).unwrap();
            let (mut sent, mut whole) = (Vec::new(), String::new());
            for piece in pieces() {
                sent.extend_from_slice(&encoder.write(piece.as_bytes()).unwrap());
                sent.extend_from_slice(&encoder.flush().unwrap());
                whole.push_str(&piece);
                assert_eq!(decode(coding, &sent), whole.as_bytes(), "{coding:?}");
            }
        }
    }

    #[test]
    fn a_whole_body_comes_out_smaller_and_whole() {
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut sent = Vec::new();
            for piece in pieces() {
                sent.extend_from_slice(&encoder.write(piece.as_bytes()).unwrap());
            }
            sent.extend_from_slice(&encoder.finish().unwrap());
            let whole = pieces().concat();
            assert_eq!(decode(coding, &sent), whole.as_bytes(), "{coding:?}");
            assert!(sent.len() * 5 < whole.len(), "{coding:?}: {} of {}", sent.len(), whole.len());
        }
    }
}
