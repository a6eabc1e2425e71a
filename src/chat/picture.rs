//! What the content of a file shows: its media type, and of a picture its size and a thumbnail.
//!
//! Content comes from anybody. Types are recognised by content alone; decoders get bounds on size
//! and memory before they see a pixel.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits,
    codecs::jpeg::JpegEncoder, metadata::Orientation,
};

use super::Dimensions;

/// As many bytes from the start of a file as [`media_type`] may need.
pub(super) const TYPE_BYTES: usize = 8 * 1024;
/// As many bytes from the start of a picture as [`dimensions`] may need: cameras put a preview of
/// their own in front.
pub(super) const SIZE_BYTES: usize = 512 * 1024;
/// Of 100: smaller files, and no difference to be seen at this size.
const JPEG_QUALITY: u8 = 80;
/// The longest side that a decoder may be asked to decode, in pixels.
const MAX_SIDE: u32 = 65_535;
/// Bytes per pixel that decoding and scaling may need at the same time: 16 bits of four channels.
const BYTES_OF_PIXEL: u64 = 8;
/// Memory that decoders need besides pixels.
const DECODER_BYTES: u64 = 16 * 1024 * 1024;

/// The media type that the start of a file shows. Text is what is UTF-8 without control characters
/// that text does not have.
pub(super) fn media_type(start: &[u8]) -> &'static str {
    if let Some(kind) = infer::get(start) {
        return kind.mime_type();
    }
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        // The start may end within a character.
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&start[..e.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let is_binary = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}');
    match text {
        Some(text) if !text.contains(is_binary) => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Whether a media type is one of those that a list of types such as `image/png`, `image/*` and
/// `*/*` allows.
pub(super) fn is_allowed(media_type: &str, allowed: &[String]) -> bool {
    let family = media_type.split('/').next().unwrap_or_default();
    allowed.iter().any(|one| match one.strip_suffix("/*") {
        Some("*") => true,
        Some(of) => of.eq_ignore_ascii_case(family),
        None => one.eq_ignore_ascii_case(media_type),
    })
}

/// Whether pictures of this type are decoded.
pub(super) fn is_picture(media_type: &str) -> bool {
    format(media_type).is_some()
}

fn format(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// The size of the picture that starts so, the way up that its camera says.
pub(super) fn dimensions(media_type: &str, start: &[u8]) -> Option<Dimensions> {
    let mut decoder = decoder(media_type, start, u64::from(MAX_SIDE)).ok()??;
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation(),
        Ok(Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH)
    );
    Some(match turned {
        true => Dimensions {
            width: height,
            height: width,
        },
        false => Dimensions { width, height },
    })
}

/// A picture that fits into a square of `side` pixels: PNG where it is transparent, else JPEG.
/// `None` where the content is no picture after all, or one of more than `max_pixels`.
pub(super) fn thumbnail(
    media_type: &str,
    content: &[u8],
    side: u32,
    max_pixels: u64,
) -> Option<Vec<u8>> {
    shrink(media_type, content, side, max_pixels).ok().flatten()
}

fn shrink(
    media_type: &str,
    content: &[u8],
    side: u32,
    max_pixels: u64,
) -> ImageResult<Option<Vec<u8>>> {
    let Some(mut decoder) = decoder(media_type, content, max_pixels)? else {
        return Ok(None);
    };
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        return Ok(None);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?;
    if width > side || height > side {
        picture = picture.thumbnail(side, side);
    }
    picture.apply_orientation(orientation);
    let mut bytes = Cursor::new(Vec::new());
    if picture.color().has_alpha() {
        let picture = DynamicImage::from(picture.into_rgba8());
        picture.write_to(&mut bytes, ImageFormat::Png)?;
    } else {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        picture.into_rgb8().write_with_encoder(encoder)?;
    }
    Ok(Some(bytes.into_inner()))
}

fn decoder<'a>(
    media_type: &str,
    content: &'a [u8],
    max_pixels: u64,
) -> ImageResult<Option<impl ImageDecoder + 'a>> {
    let Some(format) = format(media_type) else {
        return Ok(None);
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(max_pixels.saturating_mul(BYTES_OF_PIXEL) + DECODER_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(content), format);
    reader.limits(limits);
    reader.into_decoder().map(Some)
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    const MAX: u64 = 1_000_000;

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn types_are_what_the_content_shows() {
        let png = encoded(RgbImage::new(2, 1), ImageFormat::Png);
        assert_eq!(media_type(&png), "image/png");
        assert_eq!(media_type(b"%PDF-1.7\n"), "application/pdf");
        assert_eq!(media_type("caf\u{e9}\r\n".as_bytes()), "text/plain");
        // Cut within the last character.
        assert_eq!(media_type(&"caf\u{e9}".as_bytes()[..4]), "text/plain");
        assert_eq!(media_type(b"<!DOCTYPE html><script>"), "text/html");
        assert_eq!(media_type(b"a\0b"), "application/octet-stream");
        assert_eq!(media_type(&[0xff, 0xfe, 0xfd]), "application/octet-stream");
    }

    #[test]
    fn types_are_allowed_by_name_or_family() {
        let allowed = ["image/*", "Text/Plain"].map(str::to_owned);
        for (media_type, expected) in [
            ("image/png", true),
            ("text/plain", true),
            ("text/html", false),
            ("imagery/png", false),
        ] {
            assert_eq!(is_allowed(media_type, &allowed), expected, "{media_type}");
        }
        assert!(is_allowed("a/b", &["*/*".to_owned()]));
        assert!(!is_allowed("a/b", &[]));
    }

    #[test]
    fn pictures_shrink_and_keep_their_shape() {
        let red = RgbImage::from_pixel(400, 100, Rgb([200, 0, 0]));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let bytes = encoded(red.clone(), format);
            let kind = media_type(&bytes);
            let size = dimensions(kind, &bytes[..bytes.len().min(SIZE_BYTES)]);
            let expected = Dimensions {
                width: 400,
                height: 100,
            };
            assert_eq!(size, Some(expected));
            let small = thumbnail(kind, &bytes, 40, MAX).unwrap();
            assert_eq!(media_type(&small), "image/jpeg");
            let small = image::load_from_memory(&small).unwrap().into_rgb8();
            assert_eq!(small.dimensions(), (40, 10));
            let [r, g, b] = small.get_pixel(20, 5).0;
            assert!(r > 190 && g < 20 && b < 20, "{r} {g} {b}");
        }
        let clear = RgbaImage::from_pixel(3, 3, Rgba([1, 2, 3, 0]));
        let small = thumbnail("image/png", &encoded(clear, ImageFormat::Png), 40, MAX).unwrap();
        assert_eq!(media_type(&small), "image/png");
    }

    /// A PNG that says it is huge, with next to nothing in it.
    #[test]
    fn bombs_do_not_go_off() {
        let mut bomb = encoded(RgbImage::new(1, 1), ImageFormat::Png);
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let mut header = crc(&bomb[12..29]).to_be_bytes().to_vec();
        bomb.splice(29..33, header.drain(..));
        let size = dimensions("image/png", &bomb).unwrap();
        assert_eq!((size.width, size.height), (60_000, 60_000));
        assert_eq!(thumbnail("image/png", &bomb, 40, MAX), None);
        assert_eq!(
            thumbnail("image/png", b"\x89PNG\r\n\x1a\nnonsense", 40, MAX),
            None
        );
        assert_eq!(dimensions("image/jpeg", b"\xff\xd8\xff\xe0nonsense"), None);
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        };
        !bytes.iter().fold(u32::MAX, step)
    }
}
