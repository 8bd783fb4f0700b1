//! Ocean Binary Protocol v1: frames, a resynchronising framer, and one typed request per message.
