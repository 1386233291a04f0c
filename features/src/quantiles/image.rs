//! The order-preserving integer image of a float.

/// Maps floats to integers so that order is kept; −0 and 0 have one image. NaN has no place here.
pub(super) fn image(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    }
}

/// The float with the given image.
pub(super) fn value(image: u64) -> f64 {
    f64::from_bits(if image >> 63 == 1 {
        image & !(1 << 63)
    } else {
        !image
    })
}

/// The leading `bits` bits.
pub(super) fn prefix(image: u64, bits: u32) -> u64 {
    image.checked_shr(64 - bits).unwrap_or(0)
}
