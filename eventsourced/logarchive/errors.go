package logarchive

import "errors"

// ErrCorrupt is returned when a file is not as it was written: changed, cut off, or no file of an archive. Bring
// it back from a backup. The error names the file.
var ErrCorrupt = errors.New("the file is damaged: bring it back from a backup")

// ErrOtherLog is returned for files of another log than the one that asks, or of another part of it.
var ErrOtherLog = errors.New("it is the archive of another log")

// ErrNewer is returned for files that a later version of this package has written.
var ErrNewer = errors.New("a newer version of the program has written it: use that one")

// ErrNoRandomAccess is returned when files can't be read at any place. Those of os.DirFS and
// os.Root can.
var ErrNoRandomAccess = errors.New("files of the archive must implement io.ReaderAt, as those of os.DirFS do")
