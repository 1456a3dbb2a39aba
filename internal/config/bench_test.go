package config

import "testing"

// BenchmarkParse reads the first file, which is as long as most will be.
func BenchmarkParse(b *testing.B) {
	src, err := InitFile(InitOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if cfg, problems := Parse(src, ""); cfg == nil {
			b.Fatal(problems)
		}
	}
}
