"""Pictures: where they come from.

photos   the real photographs of the course, offline, and your own
perturb  turn, zoom, blur, relight and add noise, and say where each pixel went
datasets   photo crops and digits, offline; CIFAR-10 and STL-10, downloaded: all in one shape
download   fetch a published file: resumed, verified, whole or not there
archives   unpack the files a data set needs: all, or no folder
storage    where downloads stand, one process at a time, a full disk in one sentence
recipes   a view as chances and strengths, and the views of SimCLR, BYOL, SwAV, DINO and MAE
views   draw them for a batch: each picture its own parameters, torchvision's results
colour   jitter, hue, grey and solarise, with a hue that needs no division
resample   crop, resize, flip and blur as two small matrices for each picture
"""
