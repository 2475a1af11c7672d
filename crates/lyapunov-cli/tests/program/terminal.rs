//! A terminal for tests: a program runs in it, keys are typed, and what is written and how it is left can be looked at.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{InputModes, LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize},
};

/// A terminal of 100 columns and 30 rows with a program in it.
pub struct Terminal {
    keys: File,
    screen: File,
    written: Arc<Mutex<Vec<u8>>>,
    program: Child,
}

/// How a terminal takes keys and shows text.
pub type Modes = (InputModes, OutputModes, LocalModes);

impl Terminal {
    /// Starts a program in a new terminal; the modes are those that it finds.
    pub fn start(command: Command) -> (Self, Modes) {
        Self::start_at(100, command)
    }

    /// The same with so many columns.
    pub fn start_at(columns: u16, mut command: Command) -> (Self, Modes) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let screen = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        tcsetwinsize(&screen, Winsize { ws_row: 30, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = modes(&screen);
        let end = || screen.try_clone().unwrap();
        let program = command.env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(controller);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut source, sink) = (keys.try_clone().unwrap(), Arc::clone(&written));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                sink.lock().unwrap().extend(&buffer[..count]);
            }
        });
        (Self { keys, screen, written, program }, before)
    }

    /// Everything that was written so far, with its escape sequences.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until this text is written.
    pub fn wait_for(&self, text: &str) {
        let began = Instant::now();
        while !self.written().contains(text) {
            assert!(began.elapsed() < Duration::from_secs(20), "{text:?} is never written:\n{}", self.written());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.program.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// How the terminal is now.
    pub fn modes(&self) -> Modes {
        modes(&self.screen)
    }

    /// Whether keys come one by one and unseen.
    pub fn is_raw(&self) -> bool {
        !self.modes().2.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end of the program and of what it has written.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.program.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it does not end:\n{}", self.written());
            thread::sleep(Duration::from_millis(10));
        };
        // What the program wrote last is on its way.
        thread::sleep(Duration::from_millis(100));
        status
    }

    /// Fails unless the terminal is as it was before: its modes, its first screen, its cursor.
    pub fn assert_left_as(&self, before: &Modes) {
        assert!(self.modes() == *before, "keys stay raw: {:?}", self.modes());
        let written = self.written();
        let last = |sequence: &str| written.rfind(sequence);
        assert!(last("\x1b[?1049h").is_some() && last("\x1b[?1049l") > last("\x1b[?1049h"), "{written:?}");
        assert!(last("\x1b[?25h") > last("\x1b[?25l"), "the cursor stays hidden: {written:?}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn modes(screen: &File) -> Modes {
    let found = tcgetattr(screen).unwrap();
    (found.input_modes, found.output_modes, found.local_modes)
}
