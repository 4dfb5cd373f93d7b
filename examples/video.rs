//! A video pipeline: a camera, a recorder that is to have every frame, and a display that wants the latest.
//!
//! `cargo run --example video` is the camera, and starts the two others (itself, run again). All three share one cortex
//! that keeps the last frames. The recorder follows it: it gets each frame once and in order, and where it was too slow
//! it is told how many it has lost. The display sleeps until there is a frame that it has not shown, and reads the
//! newest. The camera waits for neither of them.

use bytemuck::{AnyBitPattern, NoUninit};
use neocortex::{Cortex, CortexBuilder, CortexError, SegmentOptions};
use std::process::{Child, Command};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const WIDTH: usize = 160;
const HEIGHT: usize = 120;
const FRAMES: u64 = 600;
/// So many frames are kept. A recorder that is late by fewer loses none.
const KEPT: u32 = 16;
/// Nothing takes as long as that.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

#[derive(Clone, Copy, NoUninit, AnyBitPattern)]
#[repr(C)]
struct Frame {
    number: u64,
    pixels: [[u8; WIDTH]; HEIGHT],
}

impl Frame {
    const BLANK: Self = Self {
        number: 0,
        pixels: [[0; WIDTH]; HEIGHT],
    };

    fn shade(number: u64, row: usize) -> u8 {
        (number as usize * 7 + row) as u8
    }

    fn draw(&mut self, number: u64) {
        self.number = number;
        for (row, pixels) in self.pixels.iter_mut().enumerate() {
            pixels.fill(Self::shade(number, row));
        }
    }

    /// All of it is of one frame.
    fn is_whole(&self) -> bool {
        let is_right = |(row, pixels): (usize, &[u8; WIDTH])| {
            let shade = Self::shade(self.number, row);
            pixels.iter().all(|&pixel| pixel == shade)
        };
        self.pixels.iter().enumerate().all(is_right)
    }
}

fn attach(name: &str) -> Outcome<Cortex<Frame>> {
    let options = SegmentOptions::new().wait_for_creator(LONG);
    Ok(Cortex::attach_with(name, &options)?)
}

/// Every frame, or how many were lost: `video record NAME`.
fn record(name: &str) -> Outcome<()> {
    let video = attach(name)?;
    let mut follower = video.follow(0);
    let mut frame = Box::new(Frame::BLANK);
    let (mut got, mut lost, mut has_paused) = (0, 0, false);
    loop {
        let commit = match follower.next_into(&mut frame, LONG) {
            Ok(commit) => commit,
            // The camera has gone, and every frame that is kept has been read.
            Err(CortexError::Removed { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        assert!(frame.is_whole() && frame.number == commit.version);
        if commit.missed > 0 {
            println!(
                "recorder: lost {} frames before {}",
                commit.missed, frame.number
            );
        }
        got += 1;
        lost += commit.missed;
        assert_eq!(
            got + lost,
            frame.number,
            "a frame was read twice, or not counted"
        );
        if frame.number >= FRAMES / 2 && !has_paused {
            has_paused = true;
            // A disk that is slow for once, for longer than frames are kept.
            let later = FRAMES.min(frame.number + 3 * u64::from(KEPT));
            while video.version() < later {
                video.wait_changed(video.version(), LONG)?;
            }
        }
    }
    println!("recorder: {got} frames, and {lost} known to be lost");
    assert_eq!(got + lost, FRAMES);
    assert!(lost > 0, "though it was late once");
    Ok(())
}

/// The latest: `video display NAME`.
fn display(name: &str) -> Outcome<()> {
    let video = attach(name)?;
    let mut frame = Box::new(Frame::BLANK);
    let (mut shown, mut version) = (0, 0);
    loop {
        match video.wait_changed(version, LONG) {
            Ok(_) => {}
            Err(CortexError::Removed { .. }) => break,
            Err(error) => return Err(error.into()),
        }
        video.read_into(&mut frame)?;
        // The newest, which may be newer than the one that ended the wait. Its number is its version.
        assert!(frame.is_whole() && frame.number > version);
        version = frame.number;
        shown += 1;
    }
    println!("display: showed {shown} of {FRAMES} frames, the last one among them");
    assert_eq!(frame.number, FRAMES);
    Ok(())
}

fn start(role: &str, name: &str) -> Outcome<Child> {
    let program = std::env::current_exe()?;
    Ok(Command::new(program).args([role, name]).spawn()?)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["record", name] => return record(name),
        ["display", name] => return display(name),
        _ => {}
    }
    let name = format!("example/video/{}", std::process::id());
    let consumers = [start("record", &name)?, start("display", &name)?];
    let video: Cortex<Frame> = CortexBuilder::new(Frame::BLANK)
        .key(&name)
        .slots(KEPT)
        .create()?;
    // A camera does not wait for those who look. This one does once, so that the recorder has the first frame too.
    while video.segment().participants()?.0 < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    for number in 1..=FRAMES {
        // Drawn where the next frame goes: no copy. All of it is drawn anew.
        let mut frame = video.overwrite_guard()?;
        frame.draw(number);
        frame.commit()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(video);
    for mut consumer in consumers {
        let status = consumer.wait()?;
        assert!(status.success(), "a consumer: {status}");
    }
    Ok(())
}
