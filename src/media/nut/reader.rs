//! Reads streams and packets from the bytes of a NUT stream, as the bytes arrive.
//!
//! The reader does not search for the next start code after an error. A pipe loses nothing, so an error
//! means that the stream itself is invalid. Memory is bounded: if the header of an element states a larger size
//! than permitted, the reader fails before it buffers the element.

use bytes::{Buf as _, BytesMut};

use crate::media::nut::error::NutError;
use crate::media::nut::frame_header::{FrameHeader, MAX_FRAME_HEADER, side_data_size};
use crate::media::nut::main_header::MainHeader;
use crate::media::nut::packet_header::{
    MAIN, MAX_PACKET_HEADER, PacketHeader, START_CODE_BYTE, STREAM, SYNCPOINT,
};
use crate::media::nut::stream::{NutItem, NutPacket, NutStream};
use crate::media::nut::stream_header::StreamHeader;
use crate::media::nut::timeline::{Syncpoint, Timeline};

/// The first bytes of every NUT stream.
pub(super) const FILE_ID: &[u8] = b"nut/multimedia container\0";

/// Reads one NUT stream.
#[derive(Default)]
pub struct NutReader {
    buffer: BytesMut,
    /// Number of bytes that were removed from the buffer.
    position: u64,
    /// True after the bytes that identify NUT.
    is_identified: bool,
    main: Option<MainHeader>,
    /// The streams' headers in the order of the streams, until all headers have arrived.
    headers: Vec<StreamHeader>,
    /// One entry for each stream, once all headers have arrived.
    timelines: Vec<Timeline>,
    /// Position of the last syncpoint.
    syncpoint: Option<u64>,
}

/// The result of reading one element.
enum Element {
    /// More bytes are needed.
    Incomplete,
    /// An element that the caller does not need.
    Skipped,
    Item(NutItem),
}

impl NutReader {
    /// Creates a reader with an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the buffer, to which the caller appends the bytes that have arrived. Packets share the
    /// memory of the buffer. A packet keeps the memory of its neighbours in use.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Returns true if the stream can end here: the buffer is empty, and either all headers or no bytes have
    /// arrived.
    pub fn is_between_items(&self) -> bool {
        self.buffer.is_empty() && self.is_identified != self.timelines.is_empty()
    }

    /// Returns the next item; `None` if the buffer does not contain all of it. An error is final.
    pub fn next_item(&mut self) -> Result<Option<NutItem>, NutError> {
        if !self.is_identified && !self.identify()? {
            return Ok(None);
        }
        loop {
            let element = match self.buffer.first() {
                None => return Ok(None),
                Some(&START_CODE_BYTE) => self.header()?,
                Some(_) => self.frame()?,
            };
            match element {
                Element::Incomplete => return Ok(None),
                Element::Skipped => {}
                Element::Item(item) => return Ok(Some(item)),
            }
        }
    }

    /// Removes the first bytes of the stream. Returns false while they are incomplete.
    fn identify(&mut self) -> Result<bool, NutError> {
        let length = self.buffer.len().min(FILE_ID.len());
        if self.buffer[..length] != FILE_ID[..length] {
            return Err(NutError::NotNut);
        }
        self.is_identified = length == FILE_ID.len();
        if self.is_identified {
            self.advance(length);
        }
        Ok(self.is_identified)
    }

    /// Reads a header or a syncpoint. Skips a repeated header, and an element of another kind.
    fn header(&mut self) -> Result<Element, NutError> {
        let Some(header) = self.parse(MAX_PACKET_HEADER, PacketHeader::parse)? else {
            return Ok(Element::Incomplete);
        };
        let Some(bytes) = self.buffer.get(..header.size) else { return Ok(Element::Incomplete) };
        let content = header.content(bytes)?;
        let mut element = Element::Skipped;
        match (header.start_code, &self.main) {
            (MAIN, None) => self.main = Some(MainHeader::parse(content)?),
            // Headers can be repeated, but do not change. So repeated ones are skipped.
            (STREAM, Some(main)) if self.timelines.is_empty() => {
                let header = StreamHeader::parse(content, main)?;
                if let Some(streams) = self.add_stream(header)? {
                    element = Element::Item(NutItem::Streams(streams));
                }
            }
            (SYNCPOINT, Some(main)) => {
                let syncpoint = Syncpoint::parse(content, main)?;
                self.synchronize(syncpoint)?;
            }
            (STREAM | SYNCPOINT, None) => {
                return Err(NutError::Invalid("no main header at the beginning"));
            }
            _ => {}
        }
        self.advance(header.size);
        Ok(element)
    }

    /// Keeps the header of a stream. After the last header, returns all streams.
    fn add_stream(&mut self, header: StreamHeader) -> Result<Option<Vec<NutStream>>, NutError> {
        let count = self.main.as_ref().map_or(0, |main| main.stream_count);
        if header.id != self.headers.len() {
            return Err(NutError::Invalid("the streams' headers are out of order"));
        }
        self.headers.push(header);
        if self.headers.len() < count {
            return Ok(None);
        }
        self.timelines = self.headers.iter().map(Timeline::new).collect();
        Ok(Some(self.headers.drain(..).map(|header| header.stream).collect()))
    }

    /// Sets the time of all streams.
    fn synchronize(&mut self, syncpoint: Syncpoint) -> Result<(), NutError> {
        if self.timelines.is_empty() {
            return Err(NutError::Invalid("syncpoint before the streams' headers"));
        }
        for timeline in &mut self.timelines {
            timeline.last = timeline.convert(syncpoint)?;
        }
        self.syncpoint = Some(self.position);
        Ok(())
    }

    fn frame(&mut self) -> Result<Element, NutError> {
        let (Some(main), Some(syncpoint)) = (&self.main, self.syncpoint) else {
            return Err(NutError::Invalid("frame before the first syncpoint"));
        };
        if main.max_distance.is_some_and(|distance| self.position - syncpoint > distance) {
            return Err(NutError::Invalid("frame too far from a syncpoint"));
        }
        let parse = |bytes: &[u8]| FrameHeader::parse(bytes, main, &self.timelines);
        let Some(header) = self.parse(MAX_FRAME_HEADER, parse)? else {
            return Ok(Element::Incomplete);
        };
        let size = header.header_size + header.data_size;
        let Some(data) = self.buffer.get(header.header_size..size) else {
            return Ok(Element::Incomplete);
        };
        let side_data = if header.has_side_data { side_data_size(data)? } else { 0 };
        let omitted = &main.omitted[header.omitted];
        self.timelines[header.stream].last = header.pts;
        let mut data = self.buffer.split_to(size);
        self.position += size as u64;
        if header.is_end {
            return Ok(Element::Skipped);
        }
        data.advance(header.header_size + side_data);
        if !omitted.is_empty() {
            data = [omitted, data.as_ref()].concat().as_slice().into();
        }
        Ok(Element::Item(NutItem::Packet(NutPacket {
            stream: header.stream,
            pts: header.pts.unsigned_abs(),
            is_keyframe: header.is_keyframe,
            data,
        })))
    }

    /// Parses a header of at most `max_size` bytes at the beginning of the buffer. Returns `None` while the
    /// buffer contains only a part of the header.
    fn parse<T>(
        &self,
        max_size: usize,
        parse: impl FnOnce(&[u8]) -> Result<T, NutError>,
    ) -> Result<Option<T>, NutError> {
        let length = self.buffer.len().min(max_size);
        match parse(&self.buffer[..length]) {
            Err(NutError::Truncated) if length < max_size => Ok(None),
            result => result.map(Some),
        }
    }

    /// Removes `count` bytes from the buffer.
    fn advance(&mut self, count: usize) {
        self.buffer.advance(count);
        self.position += count as u64;
    }
}
