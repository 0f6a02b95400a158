package web

import "io/fs"

// Files returns the page's files.
func Files() fs.FS {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err)
	}
	return files
}
