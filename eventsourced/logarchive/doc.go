// Package logarchive keeps the old end of a log in files: pgstore moves events there and reads them from there. It
// knows files and events, and no database.
//
// # A directory
//
// An archive is a directory with a file for each segment, all events of the log from one position to another, and
// manifest.json, which says of which log they are and what is in each. Files are written once and never changed. The
// log says which of them are its own: a manifest may name one more, that was written when a move was ended by force.
// [Dir] writes, [Reader] reads, [Check] proves that a file is as it was written.
//
// # A segment
//
//		"eslogseg" │ block │ block │ ... │ streams │ index │ where the index is, its checksum, the format, "eslogseg"
//
//	  - A block has some hundred events in the order of the log, compressed with DEFLATE. To read one event is to read its block.
//	  - The streams are records of twelve bytes, the hash of a stream and a block that has events of it, in order and in
//	    pages with a checksum. A stream is found by halving, with a few small reads, whatever the size of the file.
//	  - The index is JSON: the log's id, the events' names, and of each block its place, its checksum, its first position
//	    and how many events of each name it has. Whole blocks are counted, and passed over by name, unread.
//
// Everything that is read is compared with a checksum, and what it says with the rest: a damaged file is an error that
// names it ([ErrCorrupt]), never fewer events.
//
// # Writing
//
// A file is written under a temporary name, brought to the disk, renamed, and the directory brought to the disk;
// the same goes for the manifest. What was killed leaves at most a file with a name that ends in ".tmp", which the next
// writer removes.
package logarchive
