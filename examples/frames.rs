//! A frame buffer like a camera's: one process draws in place, another one waits for frames and looks at them.
//!
//! `cargo run --example frames` starts the camera (itself, run again), looks at frames without copying them,
//! then kills the camera in the middle of one. In place there is one copy of the pixels, so a half-drawn frame
//! cannot be taken back: it is reported as `Poisoned`, and a whole write heals it.

use bytemuck::{AnyBitPattern, NoUninit};
use neocortex::{Cortex, CortexBuilder, CortexError, RwLock};
use std::io::{BufRead, BufReader, Write};
use std::mem::offset_of;
use std::process::{Command, Stdio};
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const WIDTH: usize = 320;
const HEIGHT: usize = 240;
/// Sides of the square that moves through the picture.
const SQUARE: usize = 16;
/// Frames looked at, of those that the camera draws meanwhile.
const LOOKS: usize = 100;

#[derive(Clone, Copy, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Frame {
    number: u64,
    top: u32,
    left: u32,
    pixels: [[u8; WIDTH]; HEIGHT],
}

const BLANK: Frame = Frame {
    number: 0,
    top: 0,
    left: 0,
    pixels: [[0; WIDTH]; HEIGHT],
};

impl Frame {
    fn paint(&mut self, shade: u8) {
        let (top, left) = (self.top as usize, self.left as usize);
        for row in &mut self.pixels[top..top + SQUARE] {
            row[left..left + SQUARE].fill(shade);
        }
    }

    /// The square where it is said to be, and nothing else: a frame of one piece.
    fn is_whole(&self) -> bool {
        let (top, left) = (self.top as usize, self.left as usize);
        let square = &self.pixels[top..top + SQUARE];
        let lit = |row: &[u8]| row.iter().filter(|&&pixel| pixel == 255).count();
        square
            .iter()
            .all(|row| lit(&row[left..left + SQUARE]) == SQUARE)
            && self.pixels.iter().map(|row| lit(row)).sum::<usize>() == SQUARE * SQUARE
    }
}

/// Lock and layout: many lookers at a time, without a copy; one set of pixels, edited in place.
type Buffer = Cortex<Frame, RwLock>;

/// What the other process does: `frames NAME`.
fn camera(name: &str) -> Outcome {
    let buffer: Buffer = Cortex::attach(name)?;
    // Frame after frame, each as soon as nobody looks at the one before, until a word comes.
    let request = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()));
    let mut number = 0;
    while !request.is_finished() {
        number += 1;
        let mut frame = buffer.write_guard()?;
        if number > 1 {
            frame.paint(0);
        }
        frame.number = number;
        frame.top = (number as usize * 3 % (HEIGHT - SQUARE)) as u32;
        frame.left = (number as usize * 5 % (WIDTH - SQUARE)) as u32;
        frame.paint(255);
        frame.commit()?;
    }
    // Half a frame, and then nothing more.
    let mut frame = buffer.write_guard()?;
    frame.paint(0);
    println!("half way");
    std::io::stdin().read_line(&mut String::new())?; // killed here; or the other process has ended
    Err("not killed".into())
}

fn main() -> Outcome {
    if let Some(name) = std::env::args().nth(1) {
        return camera(&name);
    }
    let name = format!("example/frames/{}", std::process::id());
    let buffer: Buffer = CortexBuilder::new(BLANK)
        .key(&name)
        .in_place()
        .timeout(Some(Duration::from_secs(60)))
        .with_default_lock()?;
    let mut version = buffer.version();
    let mut camera = Command::new(std::env::current_exe()?)
        .arg(&name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;

    let mut last = 0;
    for look in 0..LOOKS {
        // Sleeps until there is a frame that this loop has not seen; those in between are skipped.
        version = buffer.wait_changed(version, Some(Duration::from_secs(60)))?;
        let frame = buffer.read_guard()?; // the pixels themselves: the camera waits meanwhile
        if look == 0 {
            // However long: it would draw thousands in this time.
            let shown = buffer.version();
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(buffer.version(), shown, "drawn over while it is looked at");
        }
        assert!(frame.is_whole(), "frame {} is torn", frame.number);
        last = frame.number;
    }
    println!("looked at {LOOKS} of {last} frames, all of them whole");

    let mut stdin = camera.stdin.take().ok_or("a pipe")?;
    writeln!(stdin)?;
    let stdout = camera.stdout.take().ok_or("a pipe")?;
    BufReader::new(stdout).read_line(&mut String::new())?;
    camera.kill()?;
    camera.wait()?;
    println!("killed the camera while it was drawing");

    match buffer.read_guard() {
        Err(CortexError::Poisoned { .. }) => println!("the frame is known to be half drawn"),
        Ok(frame) => return Err(format!("frame {} passed for whole", frame.number).into()),
        Err(error) => return Err(error.into()),
    }
    buffer.write(BLANK)?; // all of it: healed. `clear_poison` would take the pixels as they are.
    assert_eq!(buffer.read_guard()?.number, 0);

    // A change of a few bytes in a large value, by offset: costs what it changes.
    let number = 7_u64.to_ne_bytes();
    buffer
        .segment()
        .write_at(offset_of!(Frame, number), &number)?;
    assert_eq!(buffer.read_guard()?.number, 7);
    println!("a whole frame heals it");
    Ok(())
}
