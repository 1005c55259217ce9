//! Machine code that this host made of a component, and the one place where it
//! is made runnable.

use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Component;

/// How often the first contents of memories are prepared before it is given up,
/// and how long to wait in between.
const IMAGE_TRIES: u32 = 20;
const IMAGE_PAUSE: Duration = Duration::from_millis(20);

/// What the compiler of this host made of a component, as it is kept.
///
/// Whoever can make one of these can run anything at all in this process. So
/// there are two ways to one, both in this crate: from the
/// [compiler](crate::compile), and from the [cache](crate::cache) once its
/// seal was verified. Nothing from a bundle or from the API comes near.
pub(crate) struct Code {
    bytes: Vec<u8>,
    /// What stands before the code in the bytes: the head of a file.
    begin: usize,
}

impl Code {
    /// Vouches for bytes that this host's own compiler answered with, after so
    /// many that are something else.
    pub(crate) const fn vouched(bytes: Vec<u8>, begin: usize) -> Self {
        Self { bytes, begin }
    }

    /// The code.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.begin..).unwrap_or_default()
    }

    /// Makes it runnable, with the first contents of its memories ready to be
    /// mapped. The engine checks that it was compiled for it.
    ///
    /// # Errors
    /// If it was compiled for another engine, needs more than the engine gives
    /// to one component, or the machine has no memory for it.
    #[expect(
        unsafe_code,
        reason = "there is no other way to run what was compiled in another process"
    )]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: wasmtime asks that the bytes be what `precompile_component`
        // gave, unchanged. They are: see above. They are in memory that nobody
        // else writes to, and are copied from there, so that what was verified
        // is what runs.
        let component = unsafe { Component::deserialize(engine, self.as_bytes()) }?;
        prepare_images(&component)?;
        Ok(component)
    }
}

/// Has the first contents of memories written to where instances map them from.
///
/// The engine would do so when the first instance starts, and blame the guest if
/// it fails; and it does fail now and then on a busy machine, where Linux refuses
/// to seal memory while something else still holds a page of it (`fcntl(2)`,
/// `F_ADD_SEALS`, `EBUSY`). That passes, so it is tried again.
fn prepare_images(component: &Component) -> wasmtime::Result<()> {
    let mut tries = 1;
    loop {
        match component.initialize_copy_on_write_image() {
            Err(_) if tries < IMAGE_TRIES => {
                tries += 1;
                std::thread::sleep(IMAGE_PAUSE);
            }
            done => return done,
        }
    }
}
