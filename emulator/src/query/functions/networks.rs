//! Addresses of networks, and hosts in addresses of the web.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, each, integer, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    let bytes = |_: &ReturnFieldArgs<'_>| nullable(DataType::Binary);
    vec![
        Function::made("millpond_net_host", &[1], text, |call| {
            let texts = call.texts(0)?;
            let hosts: StringArray = texts.iter().map(|url| host(url?)).collect();
            Ok(Arc::new(hosts))
        }),
        Function::made("millpond_net_ip_from_string", &[1], bytes, |call| {
            let read = |text: &str| match address(text) {
                Some(bytes) => Ok(bytes),
                None => {
                    exec_err!("NET.IP_FROM_STRING() encountered an unparseable IP-address: {text}")
                }
            };
            Ok(made(each(&call.texts(0)?, read)?))
        }),
        Function::made("millpond_net_safe_ip_from_string", &[1], bytes, |call| {
            let texts = call.texts(0)?;
            Ok(made(texts.iter().map(|text| address(text?)).collect()))
        }),
        Function::made("millpond_net_ip_to_string", &[1], text, |call| {
            let written = each(addresses(call)?.iter(), |bytes| {
                if let Ok(four) = <[u8; 4]>::try_from(bytes) {
                    return Ok(IpAddr::from(four).to_string());
                }
                match <[u8; 16]>::try_from(bytes) {
                    Ok(sixteen) => Ok(IpAddr::from(sixteen).to_string()),
                    Err(_) => exec_err!(
                        "NET.IP_TO_STRING() encountered an IP-address of {} bytes",
                        bytes.len()
                    ),
                }
            })?;
            Ok(Arc::new(StringArray::from(written)))
        }),
        Function::made("millpond_net_ip_net_mask", &[2], bytes, |call| {
            let (sizes, prefixes) = (call.integers(0)?, call.integers(1)?);
            let masks = sizes.iter().zip(&prefixes).map(|pair| match pair {
                (Some(size @ (4 | 16)), Some(prefix)) if (0..=size * 8).contains(&prefix) => Ok(
                    Some(masked(&vec![0xff; if size == 4 { 4 } else { 16 }], prefix)),
                ),
                (Some(size), Some(prefix)) => {
                    exec_err!(
                        "NET.IP_NET_MASK() cannot make a mask of {size} bytes and {prefix} bits"
                    )
                }
                _ => Ok(None),
            });
            Ok(made(masks.collect::<Result<_>>()?))
        }),
        Function::made("millpond_net_ip_trunc", &[2], bytes, |call| {
            let (all, prefixes) = (addresses(call)?, call.integers(1)?);
            let cut = all.iter().zip(&prefixes).map(|pair| match pair {
                (Some(bytes), Some(prefix)) => {
                    let bits = i64::try_from(bytes.len() * 8).unwrap_or(0);
                    let known = matches!(bytes.len(), 4 | 16);
                    if !known || !(0..=bits).contains(&prefix) {
                        return exec_err!(
                            "NET.IP_TRUNC() cannot cut {} bytes after {prefix} bits",
                            bytes.len()
                        );
                    }
                    Ok(Some(masked(bytes, prefix)))
                }
                _ => Ok(None),
            });
            Ok(made(cut.collect::<Result<_>>()?))
        }),
        Function::made("millpond_net_ipv4_from_int64", &[1], bytes, |call| {
            let values = each(&call.integers(0)?, |value| {
                // Those with a sign and those without.
                let four =
                    u32::try_from(value).or_else(|_| i32::try_from(value).map(i32::cast_unsigned));
                let four = four.map_err(|_| {
                    exec_datafusion_err!(
                        "NET.IPV4_FROM_INT64() encountered a value out of range: {value}"
                    )
                })?;
                Ok(four.to_be_bytes().to_vec())
            })?;
            Ok(made(values))
        }),
        Function::made("millpond_net_ipv4_to_int64", &[1], integer, |call| {
            let values = each(addresses(call)?.iter(), |bytes| {
                match <[u8; 4]>::try_from(bytes) {
                    Ok(four) => Ok(i64::from(u32::from_be_bytes(four))),
                    Err(_) => exec_err!(
                        "NET.IPV4_TO_INT64() encountered an IP-address of {} bytes",
                        bytes.len()
                    ),
                }
            })?;
            Ok(Arc::new(Int64Array::from(values)))
        }),
    ]
}

fn made(values: Vec<Option<Vec<u8>>>) -> ArrayRef {
    Arc::new(BinaryArray::from_iter(values))
}

fn addresses(call: &Call) -> Result<&BinaryArray> {
    match call.array(0)?.as_binary_opt::<i32>() {
        Some(bytes) => Ok(bytes),
        None => exec_err!("BYTES are expected, not {}", call.array(0)?.data_type()),
    }
}

fn address(text: &str) -> Option<Vec<u8>> {
    Some(match text.parse().ok()? {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    })
}

/// Bytes whose bits behind the first ones are zero.
fn masked(bytes: &[u8], mut bits: i64) -> Vec<u8> {
    let one = |byte: &u8| {
        let kept = bits.clamp(0, 8);
        bits -= 8;
        let mask = u8::try_from(0xff00_u16 >> kept & 0xff).unwrap_or(0);
        byte & mask
    };
    bytes.iter().map(one).collect()
}

/// The host of an address of the web, as it is written.
fn host(url: &str) -> Option<String> {
    let url = url.trim();
    let behind = match url.find("//") {
        Some(at) if at == 0 || url.get(..at)?.ends_with(':') => url.get(at + 2..)?,
        _ => match url.split_once(':') {
            // `mailto:` and its like have no host.
            Some((scheme, rest))
                if !scheme.contains(['.', '/'])
                    && !rest.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                return None;
            }
            _ => url,
        },
    };
    let end = behind.find(['/', '?', '#']).unwrap_or(behind.len());
    let authority = behind.get(..end)?;
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let host = match place.strip_prefix('[') {
        Some(six) => six.split_once(']').map(|(host, _)| format!("[{host}]"))?,
        None => place
            .split_once(':')
            .map_or(place, |(host, _)| host)
            .to_owned(),
    };
    let host = host.trim_matches('.').to_owned();
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_stand_behind_two_slashes_or_first() {
        for (url, wanted) in [
            ("http://abc.xyz", Some("abc.xyz")),
            ("https://user:pass@a.b:80/c?d", Some("a.b")),
            ("//user:password@a.b:80/path?query", Some("a.b")),
            ("http://[::1]:80", Some("[::1]")),
            ("www.Example.Co.UK", Some("www.Example.Co.UK")),
            ("mailto:?to=&subject=&body=", None),
            ("", None),
        ] {
            assert_eq!(host(url).as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn masks_keep_the_first_bits() {
        assert_eq!(masked(&[0xff; 4], 16), [0xff, 0xff, 0, 0]);
        assert_eq!(masked(&[0xaa, 0xbb], 12), [0xaa, 0xb0]);
        assert_eq!(masked(&[0xff; 2], 0), [0, 0]);
    }
}
