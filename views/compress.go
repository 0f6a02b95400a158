package views

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// compressFrom is from how many bytes on an answer is compressed: one that fits a packet gains nothing.
const compressFrom = 1024

// compressed compresses answers for who accepts gzip. What is flushed goes out at once. Server-sent events are not to be wrapped
// in it, for each would wait for compressFrom bytes. Tags of answers have to be weak: they are the same with and without.
var compressed = func() func(http.Handler) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil {
		panic(err) // a level that there is not
	}
	return wrap
}()
