//! What kernels work with beside their operands: memory that is used again, and threads.
//!
//! A network has a workspace of its own and enters it for every pass. Outside of one, kernels take fresh memory and run
//! on the thread that calls them. Neither changes a bit of any result: work is cut in the same parts whatever the
//! number of threads, and sums of parts are added in their order.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::number::Real;

/// Memory and threads for the passes of one network.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    memory: Arc<Memory>,
    threads: Option<rayon::ThreadPool>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Workspace>>> = const { RefCell::new(None) };
}

impl Workspace {
    /// A workspace with as many threads.
    ///
    /// # Errors
    /// What the operating system says where it refuses a thread.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let threads = if threads > 1 { Some(pool(threads)?) } else { None };
        Ok(Self { memory: Arc::default(), threads })
    }

    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// What `work` returns, with this workspace for the kernels that it runs on this thread.
    pub fn enter<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let _restored = Entered(CURRENT.replace(Some(Arc::clone(self))));
        work()
    }

    /// The workspace that this thread has entered, or one with fresh memory and one thread.
    pub fn current() -> Arc<Self> {
        CURRENT.with_borrow(|current| current.clone().unwrap_or_default())
    }

    /// Memory for as many numbers: whatever was there before.
    pub fn numbers<T: Real>(&self, count: usize) -> Numbers {
        let bytes = count * size_of::<T>();
        let words = bytes.div_ceil(WORD) + LINE / WORD;
        let words = self.memory.take(words).unwrap_or_else(|| vec![0.0; words]);
        let start = words.as_ptr().align_offset(LINE);
        Numbers { start: if start < LINE / WORD { start } else { 0 }, words, bytes, home: Arc::downgrade(&self.memory) }
    }

    /// The same, all zero.
    pub fn zeros<T: Real>(&self, count: usize) -> Numbers {
        let mut numbers = self.numbers::<T>(count);
        numbers.slice_mut::<T>().fill(T::ZERO);
        numbers
    }

    /// Does the `work` on every part, on all threads; in order where there is one.
    pub fn for_each<P: Send>(&self, parts: impl Iterator<Item = P>, work: impl Fn(P) + Sync) {
        match &self.threads {
            None => parts.for_each(work),
            Some(pool) => pool.in_place_scope(|scope| {
                let work = &work;
                parts.for_each(|part| scope.spawn(move |_| work(part)));
            }),
        }
    }
}

/// Puts back the workspace that was entered before.
struct Entered(Option<Arc<Workspace>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Bytes of a word, in which memory is handed out.
const WORD: usize = size_of::<f64>();
/// Bytes of a line of the cache, at which numbers begin.
const LINE: usize = 64;

/// Memory that was given back, by its length.
#[derive(Debug, Default)]
struct Memory(Mutex<BTreeMap<usize, Vec<Vec<f64>>>>);

impl Memory {
    /// The shortest piece that has `words` and is not twice as long.
    fn take(&self, words: usize) -> Option<Vec<f64>> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (&length, pieces) = free.range_mut(words..=2 * words).next()?;
        let piece = pieces.pop();
        if pieces.is_empty() {
            free.remove(&length);
        }
        piece
    }

    fn give_back(&self, words: Vec<f64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(words.len()).or_default().push(words);
    }
}

/// Numbers in memory that goes back to its workspace when it is dropped, if that still exists.
#[derive(Debug)]
pub(crate) struct Numbers {
    words: Vec<f64>,
    start: usize,
    bytes: usize,
    home: Weak<Memory>,
}

impl Numbers {
    /// The numbers.
    pub fn slice<T: Real>(&self) -> &[T] {
        bytemuck::cast_slice(self.as_ref())
    }

    /// The numbers, to be written.
    pub fn slice_mut<T: Real>(&mut self) -> &mut [T] {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words[self.start..]);
        bytemuck::cast_slice_mut(&mut bytes[..self.bytes])
    }
}

impl AsRef<[u8]> for Numbers {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words[self.start..])[..self.bytes]
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.give_back(std::mem::take(&mut self.words));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn memory_comes_back_to_whoever_asks_for_as_much() {
        let space = Workspace::default();
        let place = {
            let mut numbers = space.numbers::<f32>(1000);
            numbers.slice_mut::<f32>()[999] = 3.0;
            assert_eq!((numbers.slice::<f32>().len(), numbers.as_ref().as_ptr().align_offset(LINE)), (1000, 0));
            numbers.words.as_ptr()
        };
        assert_ne!(space.numbers::<f64>(10).words.as_ptr(), place, "ten numbers do not take the place of a thousand");
        let again = space.numbers::<f64>(400);
        assert_eq!(again.words.as_ptr(), place);
        assert_ne!(space.numbers::<f64>(400).words.as_ptr(), place, "it is in use");
        assert!(space.zeros::<f32>(1000).slice::<f32>().iter().all(|x| *x == 0.0));
        drop((space, again));
    }

    #[test]
    fn a_workspace_is_left_as_it_was_entered() {
        let [one, two] = [1, 2].map(|threads| Arc::new(Workspace::new(threads).unwrap()));
        one.enter(|| {
            assert_eq!(two.enter(|| Workspace::current().threads()), 2);
            assert_eq!(Workspace::current().threads(), 1);
        });
        assert!(CURRENT.with_borrow(Option::is_none));
    }

    #[test]
    fn every_part_is_worked_on_once() {
        for threads in 1..4 {
            let count = AtomicUsize::new(0);
            Workspace::new(threads).unwrap().for_each(1..=10, |part| {
                count.fetch_add(part, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 55);
        }
    }
}
