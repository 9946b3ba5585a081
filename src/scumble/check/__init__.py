"""Looking ahead: what a folder of pictures is like, before anything is learnt from it, and what learning will cost."""
