//! The media of recordings: silence of the right length, made while it is sent.
//!
//! WAV with 8 kHz and 16 bits, as Twilio's, or MP3 frames that hold nothing. Start with [`media`].

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use http_body_util::Channel;

const RATE: u32 = 8_000;
const SAMPLE_BYTES: u32 = 2;
/// MPEG 1 layer III, 32 kbit/s, 48 kHz, mono: 96 bytes hold 24 ms, and only the header is not zero.
const MP3_HEADER: [u8; 4] = [0xff, 0xfb, 0x14, 0xc0];
const MP3_FRAME_BYTES: usize = 96;
const MP3_FRAME_MS: u64 = 24;
const CHUNK_BYTES: usize = 96 * 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Wav,
    Mp3,
}

/// The SID and format that the last segment of a path names; none for `.json`, which is the record.
pub(super) fn wanted(path: &str) -> Option<(&str, Format)> {
    let (before, last) = path.rsplit_once('/')?;
    if !before.ends_with("/Recordings") {
        return None;
    }
    match last.rsplit_once('.') {
        None => Some((last, Format::Wav)),
        Some((sid, "wav")) => Some((sid, Format::Wav)),
        Some((sid, "mp3")) => Some((sid, Format::Mp3)),
        Some(_) => None,
    }
}

/// A recording of `secs` seconds.
pub(super) fn media(format: Format, channels: u8, secs: u32) -> Response {
    let (kind, head, filler, bytes) = match format {
        Format::Wav => {
            let data = wav_bytes(channels, secs);
            ("audio/wav", wav_header(channels, data), vec![0; CHUNK_BYTES], u64::from(data))
        }
        Format::Mp3 => {
            let frames = u64::from(secs).saturating_mul(1000).div_ceil(MP3_FRAME_MS);
            let mut frame = MP3_HEADER.to_vec();
            frame.resize(MP3_FRAME_BYTES, 0);
            let filler = frame.repeat(CHUNK_BYTES / MP3_FRAME_BYTES);
            ("audio/mpeg", Vec::new(), filler, frames * MP3_FRAME_BYTES as u64)
        }
    };
    let length = head.len() as u64 + bytes;
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
    tokio::spawn(async move {
        if !head.is_empty() && sender.send_data(head.into()).await.is_err() {
            return;
        }
        let filler = Bytes::from(filler);
        let mut left = bytes;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(filler.len());
            // Err means that the client has gone away.
            if sender.send_data(filler.slice(..size)).await.is_err() {
                return;
            }
            left -= size as u64;
        }
    });
    let headers = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_LENGTH, length.to_string())];
    (headers, Body::new(body)).into_response()
}

fn wav_bytes(channels: u8, secs: u32) -> u32 {
    RATE.saturating_mul(SAMPLE_BYTES).saturating_mul(u32::from(channels)).saturating_mul(secs)
}

fn wav_header(channels: u8, data_bytes: u32) -> Vec<u8> {
    let block = SAMPLE_BYTES * u32::from(channels);
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&data_bytes.saturating_add(36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&u16::from(channels).to_le_bytes());
    header.extend_from_slice(&RATE.to_le_bytes());
    header.extend_from_slice(&(RATE * block).to_le_bytes());
    header.extend_from_slice(&(u16::from(channels) * 2).to_le_bytes());
    header.extend_from_slice(&16_u16.to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data_bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(format: Format, channels: u8, secs: u32) -> Vec<u8> {
        let response = media(format, channels, secs);
        let length: usize = response.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body.len(), length);
        body.to_vec()
    }

    #[tokio::test]
    async fn a_wav_file_lasts_as_long_as_it_says() {
        let wav = body(Format::Wav, 2, 7).await;
        let number = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().unwrap());
        assert_eq!((&wav[..4], &wav[8..16], &wav[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
        let (bytes_a_second, data) = (number(28), number(40));
        assert_eq!((u16::from_le_bytes([wav[22], wav[23]]), number(24), bytes_a_second), (2, 8_000, 32_000));
        assert_eq!((data / bytes_a_second, data as usize + 44, number(4) + 8), (7, wav.len(), data + 44));
        assert!(wav[44..].iter().all(|byte| *byte == 0));
        assert_eq!(body(Format::Wav, 1, 0).await.len(), 44);
    }

    #[tokio::test]
    async fn an_mp3_file_is_a_row_of_empty_frames() {
        let mp3 = body(Format::Mp3, 1, 3).await;
        assert_eq!(mp3.len(), 125 * MP3_FRAME_BYTES);
        assert!(
            mp3.chunks(MP3_FRAME_BYTES).all(|frame| frame[..4] == MP3_HEADER && frame[4..].iter().all(|b| *b == 0))
        );
    }

    #[test]
    fn the_ending_of_the_path_names_the_format() {
        assert_eq!(wanted("/2010-04-01/Accounts/AC1/Recordings/RE1"), Some(("RE1", Format::Wav)));
        assert_eq!(wanted("/2010-04-01/Accounts/AC1/Recordings/RE1.wav"), Some(("RE1", Format::Wav)));
        assert_eq!(wanted("/2010-04-01/Accounts/AC1/Recordings/RE1.mp3"), Some(("RE1", Format::Mp3)));
        assert_eq!(wanted("/2010-04-01/Accounts/AC1/Recordings/RE1.json"), None);
        assert_eq!(wanted("/2010-04-01/Accounts/AC1/Calls/CA1"), None);
    }
}
