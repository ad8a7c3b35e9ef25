"""One table-top world: every modality of the same scenes, with exact ground truth.

draws   random numbers that belong to a scene, not to the order of making
solids  sphere, cube, cylinder, cone and torus, each in its own frame
camera  between metres on the table and pixels in the picture
layout  where objects stand: apart, in the frame, none hidden
scene   what is on the table: factors, sampling, splits, edits
bodies  the objects of many scenes in one list, and the rays that may meet them
rays    where rays meet the solids, and the normals there
shadows  how much of the sun and of the sky reaches a point
tables  wood, checks, marble and linen
shading  the colour of a surface in the light
raster  from rays to pixels: visibility, then colour
render  RGB, depth, normals, instances, masks and boxes, many scenes at a time
workers  other processes that draw along
cache   rendered scenes kept on disk, whole or not at all
follow  where the surface that a pixel shows is in another picture
motion  how objects and camera move: slide, roll, spin, orbit
video   films with optical flow, occlusion and tracks
again   the same objects on another table, in another light, from another side
two_views  two cameras or a stereo pair, with exact correspondence
voxels  which object fills which part of a grid over the table
sound   the sound of an object that is struck, and mel spectrograms
graph       a scene in words: objects, clear relations, and which statements hold
programs    questions as small programs that run on a graph (CLEVR, Johnson 2017)
choices     choices in words, each from its scene's own draws
looks       looks that something, nothing or one object only of a scene has
grammar     words, phrases, what a caption says, and how much of it is right
captions    short, tags, relational, paragraph; and noise of known kinds
foils       a caption beside the same with one thing changed
questions   thirteen kinds, with answers that the text alone does not give away
reasons     answers with what they rest on: where things are, in digits
referring   expressions that fit exactly one object, as short as can be
dialogues   a user and an assistant about the picture, with "it" and "them"
"""
