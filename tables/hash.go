package tables

// hashText is 64-bit FNV-1a with a final mix (MurmurHash3's), so that every bit of the result depends on
// every byte. Sketches keep what follows from it: never change it.
func hashText[T string | []byte](text T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
