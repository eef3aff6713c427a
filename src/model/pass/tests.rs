use super::*;

#[test]
fn passes_are_whole_blocks_and_a_rest() {
    // As on the CPU: any length is as good.
    assert_eq!(pass_lengths(1000, 256, 1), [256, 256, 256, 232]);
    assert_eq!(pass_lengths(512, 256, 1), [256, 256]);
    // 2048 = 16 blocks; 5000 = 2 * 2048 + 7 * 128 + 8.
    assert_eq!(pass_lengths(5000, 2048, 128), [2048, 2048, 896, 8]);
    assert_eq!(pass_lengths(4096, 2048, 128), [2048, 2048]);
    assert_eq!(pass_lengths(100, 2048, 128), [100]);
    // 300 is cut to 2 blocks; 100 is less than one.
    assert_eq!(pass_lengths(700, 300, 128), [256, 256, 128, 60]);
    assert_eq!(pass_lengths(250, 100, 128), [100, 100, 50]);
    assert_eq!(pass_lengths(3, 0, 128), [1, 1, 1]);
    assert!(pass_lengths(0, 256, 128).is_empty());
}
