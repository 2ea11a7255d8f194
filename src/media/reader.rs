//! Cuts FFmpeg's fragmented MP4 into the init segment and fragments, box by box.
//!
//! Memory is bounded: a box that claims to be larger than the limit for its kind is an error before any
//! memory is reserved for it, and the buffer grows only as bytes arrive. The module
//! [`fragment`](super::fragment) parses the boxes.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::media::fragment::{Fragment, InitSegment, MediaError};
use crate::media::parameter_set::Format;

/// The buffer space for each read, in bytes. A pipe holds 64 KiB.
const READ_SIZE: usize = 64 * 1024;
/// The largest size of any box but an `mdat`, in bytes. Real ones have a few kilobytes.
const MAX_HEADER_BOX: u64 = 1024 * 1024;
/// The largest size of an `mdat`, in bytes: more than two seconds at 100 Mbit/s.
const MAX_MEDIA_BOX: u64 = 32 * 1024 * 1024;

/// Reads the fragments of one epoch from FFmpeg's stdout.
pub struct FragmentReader<R> {
    boxes: BoxReader<R>,
    epoch: u64,
    init: Option<Arc<InitSegment>>,
    /// The format in the first keyframe that contains one. It may differ from that of the init segment,
    /// because the SDP of some cameras describes their factory settings.
    format: Option<Format>,
}

impl<R: AsyncRead + Unpin> FragmentReader<R> {
    /// Creates a reader of the fragments of `epoch`.
    pub fn new(source: R, epoch: u64) -> Self {
        let boxes = BoxReader { source, buffer: BytesMut::new() };
        Self { boxes, epoch, init: None, format: None }
    }

    /// Returns the next fragment; `None` if the stream ends between two fragments. Fails if the format
    /// of the pictures changes.
    pub async fn next(&mut self) -> Result<Option<Fragment>, MediaError> {
        let Some(init) = self.init().await? else { return Ok(None) };
        loop {
            let Some(header) = self.boxes.peek(0).await? else { return Ok(None) };
            match &header.kind {
                b"moof" => {
                    let bytes = self.moof_and_mdat(header.size).await?;
                    let fragment = Fragment::parse(&init, bytes)?;
                    self.check_picture(&fragment)?;
                    return Ok(Some(fragment));
                }
                b"moov" | b"mdat" => {
                    return Err(MediaError::Unexpected("a moov or mdat where a moof belongs"));
                }
                // Boxes such as styp, sidx, prft, mfra and free, which no fragment needs.
                _ => drop(self.boxes.take(header.size).await?),
            }
        }
    }

    /// Returns the init segment, which is read on the first call; `None` if the stream is empty.
    async fn init(&mut self) -> Result<Option<Arc<InitSegment>>, MediaError> {
        if self.init.is_none() {
            let Some(ftyp) = self.boxes.peek(0).await? else { return Ok(None) };
            if &ftyp.kind != b"ftyp" {
                return Err(MediaError::Unexpected("a stream that does not begin with ftyp"));
            }
            let moov = self.boxes.peek(ftyp.size).await?;
            let moov = moov.filter(|header| &header.kind == b"moov");
            let moov = moov.ok_or(MediaError::Unexpected("no moov after ftyp"))?;
            let bytes = self.boxes.take(ftyp.size + moov.size).await?;
            let init = InitSegment::parse(self.epoch, bytes, ftyp.size)?;
            self.init = Some(Arc::new(init));
        }
        Ok(self.init.clone())
    }

    /// Fails if the fragment's format differs from the first one. A change of size or profile needs
    /// another init segment, and so another epoch.
    fn check_picture(&mut self, fragment: &Fragment) -> Result<(), MediaError> {
        let Some(now) = &fragment.format else { return Ok(()) };
        let first = self.format.get_or_insert_with(|| now.clone());
        if first == now { Ok(()) } else { Err(MediaError::PictureChanged) }
    }

    async fn moof_and_mdat(&mut self, moof_size: usize) -> Result<Bytes, MediaError> {
        let mdat = self.boxes.peek(moof_size).await?;
        let mdat = mdat.filter(|header| &header.kind == b"mdat");
        let mdat = mdat.ok_or(MediaError::Unexpected("no mdat after moof"))?;
        self.boxes.take(moof_size + mdat.size).await
    }
}

/// The kind of a box, and its size in bytes, header included.
struct BoxHeader {
    kind: [u8; 4],
    size: usize,
}

struct BoxReader<R> {
    source: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> BoxReader<R> {
    /// Returns the header of the box that begins `offset` bytes ahead; `None` if the stream ends there.
    async fn peek(&mut self, offset: usize) -> Result<Option<BoxHeader>, MediaError> {
        if !self.fill(offset + 8).await? {
            if self.buffer.len() == offset {
                return Ok(None);
            }
            return Err(cut_off());
        }
        let short = u64::from(u32::from_be_bytes(self.array(offset)));
        let kind: [u8; 4] = self.array(offset + 4);
        let (size, header_size) = if short == 1 {
            if !self.fill(offset + 16).await? {
                return Err(cut_off());
            }
            (u64::from_be_bytes(self.array(offset + 8)), 16)
        } else {
            (short, 8)
        };
        if size < header_size {
            return Err(MediaError::Unexpected("a box shorter than its header"));
        }
        let limit = if &kind == b"mdat" { MAX_MEDIA_BOX } else { MAX_HEADER_BOX };
        match usize::try_from(size) {
            Ok(size_here) if size <= limit => Ok(Some(BoxHeader { kind, size: size_here })),
            _ => Err(MediaError::TooLarge { kind: kind.escape_ascii().to_string(), size }),
        }
    }

    /// Takes the next `size` bytes out of the stream. Fails if the stream ends earlier.
    ///
    /// The bytes are copied: consumers keep fragments for seconds, and a slice would keep the whole
    /// buffer alive, so that the next read would have to allocate another one.
    async fn take(&mut self, size: usize) -> Result<Bytes, MediaError> {
        if !self.fill(size).await? {
            return Err(cut_off());
        }
        let bytes = Bytes::copy_from_slice(&self.buffer[..size]);
        self.buffer.advance(size);
        Ok(bytes)
    }

    /// Reads until `size` bytes are buffered. Returns false if the stream ends earlier.
    async fn fill(&mut self, size: usize) -> Result<bool, MediaError> {
        while self.buffer.len() < size {
            self.buffer.reserve(READ_SIZE);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns `N` buffered bytes from `offset` on. The caller must have filled the buffer that far.
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.buffer[offset..offset + N]);
        array
    }
}

fn cut_off() -> MediaError {
    MediaError::Read(std::io::ErrorKind::UnexpectedEof.into())
}
