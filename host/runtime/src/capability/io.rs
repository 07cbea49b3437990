//! `wasi:io`: the streams and pollables of wasmtime-wasi, each call charged.
//!
//! What is behind them is this host's own and always ready, so nothing here waits. Without a price, a guest that does
//! nothing but ask whether something is ready would be ended by the clock and not by its fuel.

use wasmtime::Result;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};

use super::meter::Meter;

/// Bytes that are charged for each pollable that is polled: it is looked up, asked and listed.
const POLL_BYTES: usize = 2_000;

/// The run's resources and what using them costs.
pub(crate) struct Io<'a> {
    /// The resources.
    pub(crate) table: &'a mut ResourceTable,
    /// Who is charged.
    pub(crate) meter: &'a Meter,
}

/// Tells the linker about [`Io`].
pub(crate) struct HasIo;

impl HasData for HasIo {
    type Data<'a> = Io<'a>;
}

impl Io<'_> {
    /// Charges a call that moves so many bytes, and gives what does it.
    fn charged(&mut self, bytes: usize) -> Result<&mut ResourceTable> {
        self.meter.charge(bytes)?;
        Ok(self.table)
    }

    fn stream(&mut self, bytes: usize) -> StreamResult<&mut ResourceTable> {
        self.charged(bytes).map_err(StreamError::Trap)
    }
}

impl poll::Host for Io<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        let bytes = pollables.len().saturating_mul(POLL_BYTES);
        poll::Host::poll(self.charged(bytes)?, pollables).await
    }
}

impl poll::HostPollable for Io<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::block(self.charged(0)?, pollable).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        poll::HostPollable::ready(self.charged(0)?, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

impl error::Host for Io<'_> {}

impl error::HostError for Io<'_> {
    fn to_debug_string(&mut self, error: Resource<streams::Error>) -> Result<String> {
        error::HostError::to_debug_string(self.charged(0)?, error)
    }

    fn drop(&mut self, error: Resource<streams::Error>) -> Result<()> {
        error::HostError::drop(self.table, error)
    }
}

impl streams::Host for Io<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.table, error)
    }
}

impl streams::HostInputStream for Io<'_> {
    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        streams::HostInputStream::read(self.stream(0)?, stream, len)
    }

    async fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        streams::HostInputStream::blocking_read(self.stream(0)?, stream, len).await
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        streams::HostInputStream::skip(self.stream(0)?, stream, len)
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        streams::HostInputStream::blocking_skip(self.stream(0)?, stream, len).await
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> Result<Resource<DynPollable>> {
        streams::HostInputStream::subscribe(self.charged(0)?, stream)
    }

    async fn drop(&mut self, stream: Resource<DynInputStream>) -> Result<()> {
        streams::HostInputStream::drop(self.table, stream).await
    }
}

impl streams::HostOutputStream for Io<'_> {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        streams::HostOutputStream::check_write(self.stream(0)?, stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, contents: Vec<u8>) -> StreamResult<()> {
        streams::HostOutputStream::write(self.stream(contents.len())?, stream, contents)
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        contents: Vec<u8>,
    ) -> StreamResult<()> {
        let table = self.stream(contents.len())?;
        streams::HostOutputStream::blocking_write_and_flush(table, stream, contents).await
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        streams::HostOutputStream::flush(self.stream(0)?, stream)
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        streams::HostOutputStream::blocking_flush(self.stream(0)?, stream).await
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> Result<Resource<DynPollable>> {
        streams::HostOutputStream::subscribe(self.charged(0)?, stream)
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        let bytes = usize::try_from(len).unwrap_or(usize::MAX);
        streams::HostOutputStream::write_zeroes(self.stream(bytes)?, stream, len)
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        let table = self.stream(usize::try_from(len).unwrap_or(usize::MAX))?;
        streams::HostOutputStream::blocking_write_zeroes_and_flush(table, stream, len).await
    }

    fn splice(&mut self, to: Resource<DynOutputStream>, from: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        streams::HostOutputStream::splice(self.stream(0)?, to, from, len)
    }

    async fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        streams::HostOutputStream::blocking_splice(self.stream(0)?, to, from, len).await
    }

    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> Result<()> {
        streams::HostOutputStream::drop(self.table, stream).await
    }
}
