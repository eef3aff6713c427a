//! The tile unit's instructions.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::operands::{BLOCK, Block, PARTS, Panel, STEP, TILE_ROWS, Tile};

/// That the processor has the unit and the vector instructions beside it, and this process may use
/// it.
#[derive(Clone, Copy)]
pub struct Unit(());

impl Unit {
    /// None on processors without it, or where the kernel refuses.
    pub fn get() -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        FOUND.get_or_init(|| has_instructions() && may_use_tiles()).then_some(Self(()))
    }

    /// Runs `f` on a thread whose tiles are set up. It must not wait for other work of the pool:
    /// what is taken up meanwhile would release them.
    pub fn with_tiles<T>(self, f: impl FnOnce(&Tiles) -> T) -> T {
        /// 8 tiles of [`TILE_ROWS`] rows of 64 bytes; the format is the processor's.
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            row_bytes: [u16; 16],
            rows: [u8; 16],
        }
        let mut configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        configuration.row_bytes[..8].fill(2 * STEP as u16);
        configuration.rows[..8].fill(TILE_ROWS as u8);
        // SAFETY: the unit is there, and nothing else uses its registers.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
        let result = f(&Tiles(PhantomData));
        // SAFETY: as above. Without this, the kernel would save 8 KiB whenever the thread waits.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
        result
    }
}

/// That this thread's tiles are set up; it stays on the thread.
pub struct Tiles(PhantomData<*const ()>);

impl Tiles {
    /// The product of `x` and a panel, added to `out`; or with `anew` in place of what is there.
    pub fn multiply(&self, x: Block, panel: Panel, out: &mut [[f32; BLOCK]; BLOCK], anew: bool) {
        let steps = panel.parts.len();
        assert!(steps > 0 && panel.tiles.len() == steps * PARTS * 2);
        assert!([x.upper, x.lower].iter().all(|half| half.len() == steps * PARTS));
        const { assert!(PARTS == 3 && size_of::<Tile>() == 1024, "as in the addresses below") };
        let out = out.as_mut_ptr();
        /// Four blocks of the product: above and below, left and right.
        macro_rules! products {
            () => {
                "tdpbf16ps tmm0, tmm6, tmm4
                tdpbf16ps tmm1, tmm6, tmm5
                tdpbf16ps tmm2, tmm7, tmm4
                tdpbf16ps tmm3, tmm7, tmm5"
            };
        }
        // SAFETY: reads `steps` times PARTS tiles of either half of `x`, two times as many of the
        // panel's and `steps` of its counts, as was checked above, and writes all of `out`. The
        // tiles are this thread's, by `self`.
        unsafe {
            asm!(
                "test {anew:e}, {anew:e}",
                "jnz 4f",
                "tileloadd tmm0, [{out} + {stride}]",
                "tileloadd tmm1, [{out} + {stride} + 64]",
                "tileloadd tmm2, [{out_lower} + {stride}]",
                "tileloadd tmm3, [{out_lower} + {stride} + 64]",
                "jmp 2f",
                "4:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                // Left and right of w1 with x3, x2, x1.
                "tileloadd tmm4, [{w} + {row}]",
                "tileloadd tmm5, [{w} + {row} + 1024]",
                "tileloadd tmm6, [{upper} + {row} + 2048]",
                "tileloadd tmm7, [{lower} + {row} + 2048]",
                products!(),
                "tileloadd tmm6, [{upper} + {row} + 1024]",
                "tileloadd tmm7, [{lower} + {row} + 1024]",
                products!(),
                "tileloadd tmm6, [{upper} + {row}]",
                "tileloadd tmm7, [{lower} + {row}]",
                products!(),
                "cmp byte ptr [{parts}], 2",
                "jb 3f",
                // w2 with x1, which is loaded, and x2.
                "tileloadd tmm4, [{w} + {row} + 2048]",
                "tileloadd tmm5, [{w} + {row} + 3072]",
                products!(),
                "tileloadd tmm6, [{upper} + {row} + 1024]",
                "tileloadd tmm7, [{lower} + {row} + 1024]",
                products!(),
                "cmp byte ptr [{parts}], 3",
                "jb 3f",
                // w3 with x1.
                "tileloadd tmm4, [{w} + {row} + 4096]",
                "tileloadd tmm5, [{w} + {row} + 5120]",
                "tileloadd tmm6, [{upper} + {row}]",
                "tileloadd tmm7, [{lower} + {row}]",
                products!(),
                "3:",
                "add {w}, 6144",
                "add {upper}, 3072",
                "add {lower}, 3072",
                "inc {parts}",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out} + {stride}], tmm0",
                "tilestored [{out} + {stride} + 64], tmm1",
                "tilestored [{out_lower} + {stride}], tmm2",
                "tilestored [{out_lower} + {stride} + 64], tmm3",
                w = inout(reg) panel.tiles.as_ptr() => _,
                upper = inout(reg) x.upper.as_ptr() => _,
                lower = inout(reg) x.lower.as_ptr() => _,
                parts = inout(reg) panel.parts.as_ptr() => _,
                steps = inout(reg) steps => _,
                anew = in(reg) u32::from(anew),
                row = in(reg) 64usize,
                out = in(reg) out,
                out_lower = in(reg) out.add(TILE_ROWS),
                stride = in(reg) size_of::<[f32; BLOCK]>(),
                options(nostack),
            );
        }
    }
}

/// The tile unit with bf16, AVX-512 with bf16 and short registers, and a kernel that saves both.
fn has_instructions() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let vectors = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bf16");
    // Leaf 7 exists where AVX-512 does.
    vectors && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

/// Asks Linux for the tiles' registers, which a process does not have from its beginning
/// (Documentation/arch/x86/xstate.rst); once for all threads, those to come too.
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let result: isize;
    // SAFETY: the call touches no memory of this process; kernels that do not know it refuse.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL as isize => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}
